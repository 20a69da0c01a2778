"""The steps before a run: decode ▸ find task ▸ check (DESIGN §3). Pure but for the app's registry; time is injected.

Each step looks at one job and returns True when it has decided it: then the job is not run, its outcome is recorded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.core.errors import BadMessage, NotRegistered
from penstock.core.protocol import decode_task
from penstock.core.record import Standing
from penstock.core.states import ENDED
from penstock.worker.job import Job
from penstock.worker.load import Kind
from penstock.worker.outcome import Judge

if TYPE_CHECKING:
    from penstock.client.app import Penstock

#: Workflows come in a later version. To run such a message and drop what follows it would lose tasks silently.
_WORKFLOW = ("callbacks", "errbacks", "chain", "chord")


class Checks:
    """What must hold before a delivery runs."""

    def __init__(self, app: Penstock, judge: Judge, clock: Callable[[], float]) -> None:
        self.app = app
        self.judge = judge
        self.clock = clock
        self.max_body = app.settings.max_body
        self.max_deliveries = app.settings.max_deliveries
        self.kinds: dict[str, Kind] = {}
        self._index = {name: index for index, name in enumerate(sorted(app.tasks))}

    def readable(self, job: Job) -> bool:
        """Decode the message and find its task."""
        return self._decode(job) or self._find(job) or self._workflow(job)

    def runnable(self, job: Job, standing: Standing | None) -> bool:
        """Compare with the record, as far as there is one."""
        job.deliveries = 1 if standing is None else standing.deliveries + 1
        job.request.deliveries = job.deliveries
        if standing is not None and self._over(job, standing):
            return True
        return self._cancelled(job, standing) or self._expired(job) or self._poisonous(job)

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
            kind = self.kinds[task.name] = Kind(task.is_async)
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

    def _poisonous(self, job: Job) -> bool:
        if job.deliveries <= self.max_deliveries:
            return False
        self.judge.poison(job)
        return True
