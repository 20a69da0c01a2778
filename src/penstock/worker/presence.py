"""Being there: the worker's entry in the registry, its report, and its children's leases, kept alive in one write."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from penstock.client.backends import Backends
from penstock.core.errors import Conflict
from penstock.core.record import WorkerInfo
from penstock.core.step import Step, commit
from penstock.core.version import version
from penstock.worker.kin import Kin
from penstock.worker.options import Plan

log = logging.getLogger("penstock.worker.keeper")

PATIENCE = 5  #: renewals after which an entry that is not renewed disappears


class Presence:
    """Keeps one worker known and its leases alive."""

    def __init__(self, plan: Plan, backends: Backends, kin: Kin, pid: int) -> None:
        self.plan = plan
        self.backends = backends
        self.kin = kin
        self.pid = pid  #: of the supervisor
        self.started_at = time.time()
        self.seconds = PATIENCE * plan.renewal

    async def register(self) -> None:
        """Appear. Raises Conflict if another live worker has the name; one of this machine that is dead gives way."""
        info = self._info()
        workers = self.backends.results.workers
        try:
            await workers.register(info, self.seconds)
        except Conflict:
            if not await self._dead(info):
                raise
            await workers.leave(info.name)
            await workers.register(info, self.seconds)

    async def beat(self) -> list[str]:
        """Prolong the children's leases and report, in one write; return the leases that turned out to be lost."""
        results, now = self.backends.results, time.monotonic()
        open_ones = {kid.lease: kid.seat for kid in self.kin if kid.seat.counters().renewed > 0}
        steps: list[Step[Any]] = [results.workers.report(self.plan.name, self.kin.status(), self.seconds)]
        if open_ones:
            steps.append(results.leases.renew(list(open_ones), self.plan.lease))
        known, *renewed = await commit(*steps)
        lost = renewed[0] if renewed else []
        for lease, seat in open_ones.items():
            if lease not in lost:
                seat.renewed(now)
        if not known:
            await self.register()
        if open_ones and (keep := self.backends.broker.keep(list(open_ones))) is not None:
            await keep
        return list(lost)

    async def leave(self) -> None:
        """Disappear."""
        await self.backends.results.workers.leave(self.plan.name)

    async def _dead(self, info: WorkerInfo) -> bool:
        """Whether the one that has the name is a process of this machine that is not there any more."""
        for other in await self.backends.results.workers.all():
            if other.name == info.name and other.host == info.host:
                return _gone(other.pid)
        return False

    def _info(self) -> WorkerInfo:
        plan = self.plan
        return WorkerInfo(
            name=plan.name,
            host=plan.host,
            pid=self.pid,
            started_at=self.started_at,
            queues=list(plan.queues),
            processes=plan.processes,
            threads=plan.threads,
            concurrency=plan.concurrency,
            version=version(),
            tasks={name: task.arguments.schema() for name, task in plan.app.tasks.items()},
            status=self.kin.status(),
        )


def _gone(pid: int) -> bool:
    """Whether there is no process of that number; one that is not ours to signal is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
