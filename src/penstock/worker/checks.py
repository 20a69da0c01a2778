"""The steps before a run: decode ▸ find task ▸ check (DESIGN §3). Pure but for the app's registry; time is injected.

Each step looks at one job and returns True when it has decided it: then the job is not run, its outcome is recorded.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from penstock.core.errors import BadMessage, NotRegistered
from penstock.core.message import UNTOUCHED, Standing
from penstock.core.protocol import decode_task
from penstock.core.results import ResultBackend
from penstock.core.states import ENDED, REVOKED, STARTED
from penstock.worker.job import Job
from penstock.worker.load import Kind
from penstock.worker.outcome import Judge
from penstock.worker.patience import Patience

if TYPE_CHECKING:
    from penstock.client.app import Penstock

log = logging.getLogger("penstock.worker.executor")

#: Workflows come in a later version. To run such a message and drop what follows it would lose tasks silently.
_WORKFLOW = ("callbacks", "errbacks", "chain", "chord")
_ROUNDED = 2e-6  #: seconds; an `eta` is written in microseconds, what a broker waits for is not
SOONEST = 1.0  #: seconds after which a message is looked at again whose task runs elsewhere


class Checks:
    """What must hold before a delivery runs."""

    def __init__(
        self, app: Penstock, judge: Judge, clock: Callable[[], float], results: ResultBackend | None = None
    ) -> None:
        self.app = app
        self.results = results
        self.judge = judge
        self.clock = clock
        self.max_body = app.settings.max_body
        self.max_deliveries = app.settings.max_deliveries
        self.kinds: dict[str, Kind] = {}
        self._index = {name: index for index, name in enumerate(sorted(app.tasks))}

    def readable(self, job: Job) -> bool:
        """Decode the message and find its task."""
        return self._decode(job) or self._find(job) or self._workflow(job)

    async def standings(self, ids: Sequence[str]) -> Mapping[str, Standing]:
        """What the records say of these tasks; an outage is waited out."""
        assert self.results is not None
        return await Patience("checking records", log).run(partial(self.results.records.check, ids))

    async def seen(self, jobs: Sequence[Job]) -> set[str]:
        """Which of these tasks live workers report to run elsewhere; an outage is waited out.

        Asked only of messages that the server took back by itself: their tasks may go on all the same, and one that
        holds the GIL could not have itself marked as started. Where it was lost with its lease, nobody is reported.
        """
        back = {job.task_id: job for job in jobs if job.delivery.redelivered and not job.session.consumer.lasting}
        if not back or self.results is None:
            return set()
        return await Patience("asking who runs what", log).run(partial(self._reported, self.results, back))

    async def met(self, jobs: Sequence[Job], standings: Mapping[str, Standing]) -> None:
        """Messages of revoked tasks have turned up that could not be found before; they are about to be dropped.

        An outage is waited out.
        """
        found = [job.task_id for job in jobs if self._late(job, standings.get(job.task_id))]
        if found and self.results is not None:
            await Patience("noting dropped messages", log).run(partial(self.results.records.confirm, found))

    def _late(self, job: Job, standing: Standing | None) -> bool:
        revoked = standing is not None and standing.state == REVOKED and standing.generation == job.request.generation
        return revoked and not job.session.consumer.lasting

    async def _reported(self, results: ResultBackend, jobs: Mapping[str, Job]) -> set[str]:
        leases: dict[str, str] = {}
        for worker in await results.workers.all():
            for child in worker.status.get("children", ()):
                leases |= {run["task_id"]: child["lease"] for run in child["running"] if run["task_id"] in jobs}
        elsewhere = {task_id for task_id, lease in leases.items() if lease != jobs[task_id].session.lease}
        return {task_id for task_id in elsewhere if await results.leases.owner(leases[task_id]) is not None}

    def suspicious(self, job: Job) -> bool:
        """Whether it is to begin alone, because its process may have died of it before."""
        return job.delivery.redelivered or job.deliveries > 1

    def runnable(self, job: Job, standing: Standing | None, seen: Collection[str] = ()) -> bool:
        """Compare with the record, as far as there is one, and with what is `seen` to run elsewhere."""
        request = job.request
        if standing is UNTOUCHED and request.eta is None and request.expires is None and not (job.revoked or seen):
            job.deliveries = request.deliveries = 1
            return False
        job.deliveries = 1 if standing is None else standing.deliveries + 1
        request.deliveries = job.deliveries
        if standing is not None and self._over(job, standing):
            return True
        if self._elsewhere(job, standing, seen):
            return True
        return self._cancelled(job, standing) or self._expired(job) or self._early(job) or self._poisonous(job)

    def _decode(self, job: Job) -> bool:
        try:
            job.request = decode_task(job.delivery.message, self.max_body)
        except BadMessage as error:
            self.judge.bury(job, error.reason, error)
            return True
        except Exception as error:  # whatever a stranger has sent, it must not stop the worker
            self.judge.bury(job, "undecodable", error)
            return True
        job.request.redelivered = job.delivery.redelivered
        job.request.hostname = self.judge.worker
        return False

    def _find(self, job: Job) -> bool:
        request = job.request
        task = self.app.tasks.get(request.task)
        if task is None:
            self.judge.bury(job, "NotRegistered", NotRegistered(request.task))
            return True
        kind = self.kinds.get(task.name)
        if kind is None:
            kind = self.kinds[task.name] = Kind(task.is_async, is_program=task.is_program)
        options = task.options
        hard = options.time_limit if request.time_limit is None else request.time_limit
        soft = options.soft_time_limit if request.soft_time_limit is None else request.soft_time_limit
        job.task, job.kind, job.kind_index = task, kind, self._index.get(task.name, 0)
        job.hard, job.soft = hard or math.inf, soft or math.inf
        return False

    def _workflow(self, job: Job) -> bool:
        embed = job.request.embed
        if not any(embed.values()):
            return False
        found = [name for name in _WORKFLOW if embed.get(name)]
        if found:
            error = BadMessage(f"workflows ({', '.join(found)}) come in a later version of Penstock")
            self.judge.bury(job, "unsupported", error)
        return bool(found)

    def _over(self, job: Job, standing: Standing) -> bool:
        """The task has ended, or went on: this is an old copy of its message. It is settled, and that is all."""
        request = job.request
        older = (request.generation, request.retries) < (standing.generation, standing.retries)
        return older or (standing.state in ENDED and request.generation == standing.generation)

    def _elsewhere(self, job: Job, standing: Standing | None, seen: Container[str]) -> bool:
        """It runs, under a lease that is alive: its message came again because a connection was lost. Ask again later.

        Where the server redelivers what a lost connection held (RabbitMQ), this is all that tells a copy from a task.
        """
        if standing is not None and standing.held is not None and standing.state == STARTED:
            job.back = max(SOONEST, standing.held)
            return True
        if job.task_id in seen:
            job.back = max(SOONEST, self.app.settings.lease_renewal)  # by then its worker has reported again
            return True
        return False

    def _cancelled(self, job: Job, standing: Standing | None) -> bool:
        reason = job.revoked or (standing.cancel if standing is not None else "")
        if reason:
            self.judge.revoke(job, reason)
        return bool(reason)

    def _expired(self, job: Job) -> bool:
        expires = job.request.expires
        if expires is None or self.clock() < expires:
            return False
        self.judge.revoke(job, "expired")
        return True

    def _early(self, job: Job) -> bool:
        """Its time has not come: Celery's producers leave the waiting to the worker, here the broker does it."""
        eta = job.request.eta
        if eta is None or (wait := eta - self.clock()) <= _ROUNDED:
            return False
        job.back = wait
        return True

    def _poisonous(self, job: Job) -> bool:
        if job.deliveries <= self.max_deliveries:
            return False
        self.judge.poison(job)
        return True
