"""The contracts together, on one driver."""

from __future__ import annotations

from typing import Final

from penstock.core.opening import Opener
from penstock.core.results import ResultBackend
from penstock.core.step import Step
from penstock.drivers.memory import Memory, Store, open_driver
from penstock.results.memory.dead import MemoryDeadLetters
from penstock.results.memory.keys import MemoryKeys
from penstock.results.memory.leases import MemoryLeases
from penstock.results.memory.logs import MemoryLogs
from penstock.results.memory.mailbox import MemoryMailbox
from penstock.results.memory.records import MemoryRecords
from penstock.results.memory.schedules import MemorySchedules
from penstock.results.memory.workers import MemoryWorkers


class MemoryResults(ResultBackend):
    """Results in one store of this process."""

    def __init__(self, driver: Memory) -> None:
        self.driver = driver
        self.records = MemoryRecords(driver)
        self.logs = MemoryLogs(driver)
        self.leases = MemoryLeases(driver)
        self.workers = MemoryWorkers(driver)
        self.mailbox = MemoryMailbox(driver)
        self.dead = MemoryDeadLetters(driver)
        self.keys = MemoryKeys(driver)
        self.schedules = MemorySchedules(driver)
        self._memory = driver

    def ping(self) -> Step[None]:
        """Memory always answers."""
        return self._memory.read(_nothing)


def _nothing(store: Store) -> None:
    """Nothing: that a step runs is the answer."""


#: the result backend in the store that `url` names
open_results: Final = Opener(Memory, open_driver, lambda driver, _: MemoryResults(driver))
