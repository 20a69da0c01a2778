"""What is done about a child that died: its tasks are charged, judged and redelivered, in milliseconds.

Charged are exactly the tasks that had begun, as its slots say. A task that the keeper had it killed for gets its
ending first; the redelivered message finds it, and is settled without a run.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from penstock.client.backends import Backends
from penstock.core.errors import LeaseLost, TaskRevokedError, TimeLimitExceeded
from penstock.core.failure import encode_failure
from penstock.core.message import Delivery, Message
from penstock.core.record import Ending, Record
from penstock.core.states import FAILURE, REVOKED
from penstock.core.step import Step, commit
from penstock.worker.patience import Patience

log = logging.getLogger("penstock.worker.keeper")


class Burial:
    """Buries the children of one worker."""

    def __init__(self, backends: Backends, worker: str) -> None:
        self.backends = backends
        self.worker = worker

    async def bury(self, death: Mapping[str, Any]) -> None:
        """Done once it is all written; an outage is waited out."""
        patience = Patience("releasing a dead child's tasks", log)
        if death["judged"]:
            await patience.run(partial(self._judge, death))
        await patience.run(partial(self._release, death["leases"], death["charge"]))

    async def _release(self, leases: Sequence[str], charge: Mapping[str, int]) -> None:
        results = self.backends.results
        steps: list[Step[Any]] = [results.records.charge(charge)] if charge else []
        release = self.backends.broker.release(leases)
        found = await commit(*steps, release, results.leases.close(leases))
        released = found[len(steps)]
        if released:
            log.info("redelivering %d messages of a dead child", len(released))

    async def _judge(self, death: Mapping[str, Any]) -> None:
        """Record how the tasks end that the child was killed for."""
        judged: Mapping[str, Mapping[str, Any]] = death["judged"]
        records = await self.backends.results.records.get(list(judged))
        endings = [
            self._ending(task_id, verdict, records.get(task_id), death["pid"]) for task_id, verdict in judged.items()
        ]
        with contextlib.suppress(LeaseLost):  # then others have them, and will see for themselves
            await self.backends.results.records.finish(endings, death["leases"][-1])

    def _ending(self, task_id: str, verdict: Mapping[str, Any], record: Record | None, pid: int) -> Ending:
        limit = verdict["limit"]
        error = TaskRevokedError("terminated") if limit is None else TimeLimitExceeded(limit)
        message = Message(b"", {"id": task_id, "task": verdict["task"]}) if record is None else record.message
        return Ending(
            delivery=Delivery(message, None),
            state=REVOKED if limit is None else FAILURE,
            finished_at=time.time(),
            worker=self.worker,
            pid=pid,
            started_at=verdict["started_at"],
            result=encode_failure(error),
        )
