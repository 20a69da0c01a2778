"""The contracts together, on one driver."""

from __future__ import annotations

from typing import Any, Final

from penstock.core.opening import Opener
from penstock.core.results import ResultBackend
from penstock.core.step import Step
from penstock.drivers.redis import Redis, open_driver
from penstock.drivers.redis.transaction import Answer, Transaction
from penstock.results.redis.dead import RedisDeadLetters
from penstock.results.redis.keys import RedisKeys
from penstock.results.redis.leases import RedisLeases
from penstock.results.redis.logs import RedisLogs
from penstock.results.redis.mailbox import RedisMailbox
from penstock.results.redis.records import RedisRecords
from penstock.results.redis.schedules import RedisSchedules
from penstock.results.redis.workers import RedisWorkers

#: seconds; the setting `result_expires` has the same default
_WEEK = 7 * 86400.0


class RedisResults(ResultBackend):
    """Results in one database of a Redis server. `expires`: seconds for which Celery's clients find a result."""

    def __init__(self, driver: Redis, expires: float = _WEEK) -> None:
        for part in ("records", "leases", "keys", "dead"):
            driver.require("penstock.results.redis", f"{part}.lua")
        self.driver = driver
        self.records = RedisRecords(driver, expires)
        self.logs = RedisLogs(driver)
        self.leases = RedisLeases(driver)
        self.workers = RedisWorkers(driver)
        self.mailbox = RedisMailbox(driver)
        self.dead = RedisDeadLetters(driver)
        self.keys = RedisKeys(driver)
        self.schedules = RedisSchedules(driver)
        self._redis = driver

    def ping(self) -> Step[None]:
        """Answer if a record could be written now."""

        def work(transaction: Transaction) -> Answer:
            transaction.do("call", "SET", f"{self._redis.keys}ping", "1", "PX", 1000)
            return lambda _: None

        return self._redis.step(work)


def _made(driver: Redis, settings: Any) -> ResultBackend:
    return RedisResults(driver) if settings is None else RedisResults(driver, settings.result_expires)


#: the result backend in the database that `url` names
open_results: Final = Opener(Redis, open_driver, _made)
