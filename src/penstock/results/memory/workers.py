"""The workers' contract in memory."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace

from penstock.core.errors import Conflict
from penstock.core.record import WorkerInfo
from penstock.core.results import Workers
from penstock.core.step import Step
from penstock.drivers.memory import Memory, Store, Table


@dataclass(frozen=True, slots=True)
class Entry:
    """A worker, alive until then (unix seconds)."""

    info: WorkerInfo
    until: float


def entries(store: Store) -> Table[str, Entry]:
    return store.table("workers")


class MemoryWorkers(Workers):
    """The register in one store of this process."""

    def __init__(self, driver: Memory) -> None:
        self._driver = driver

    def register(self, info: WorkerInfo, seconds: float) -> Step[None]:
        """Appear, or replace one's own entry."""

        def register(store: Store) -> None:
            found, now = self._alive(store, info.name), self._driver.clock()
            if found is not None and found.info.pid != info.pid:
                raise Conflict(f"a live worker is named {info.name!r} already (pid {found.info.pid})")
            entries(store)[info.name] = Entry(replace(deepcopy(info), seen_at=now), now + seconds)

        return self._driver.write(register)

    def report(self, name: str, status: Mapping[str, object], seconds: float) -> Step[bool]:
        """Replace the status and live on."""

        def report(store: Store) -> bool:
            found, now = self._alive(store, name), self._driver.clock()
            if found is None:
                return False
            info = replace(found.info, status=deepcopy(dict(status)), seen_at=now)
            entries(store)[name] = Entry(info, now + seconds)
            return True

        return self._driver.write(report)

    def leave(self, name: str) -> Step[None]:
        """Disappear."""

        def leave(store: Store) -> None:
            entries(store).pop(name, None)

        return self._driver.write(leave)

    def all(self) -> Step[list[WorkerInfo]]:
        """Live workers by name."""

        def names(store: Store) -> list[WorkerInfo]:
            now = self._driver.clock()
            return [deepcopy(found.info) for _, found in sorted(entries(store).items()) if found.until > now]

        return self._driver.read(names)

    def _alive(self, store: Store, name: str) -> Entry | None:
        found = entries(store).get(name)
        return found if found is not None and found.until > self._driver.clock() else None
