"""The contracts together, on one driver."""

from __future__ import annotations

from typing import Final

from penstock.core.opening import Opener
from penstock.core.results import ResultBackend
from penstock.core.step import Step
from penstock.drivers.postgres import Postgres, Session, open_driver
from penstock.results.postgres.dead import PostgresDeadLetters
from penstock.results.postgres.keys import PostgresKeys
from penstock.results.postgres.leases import PostgresLeases
from penstock.results.postgres.logs import PostgresLogs
from penstock.results.postgres.mailbox import PostgresMailbox
from penstock.results.postgres.records import PostgresRecords
from penstock.results.postgres.schedules import PostgresSchedules
from penstock.results.postgres.workers import PostgresWorkers


class PostgresResults(ResultBackend):
    """Results in one schema."""

    def __init__(self, driver: Postgres) -> None:
        self.driver: Postgres = driver
        self.records = PostgresRecords(driver)
        self.logs = PostgresLogs(driver)
        self.leases = PostgresLeases(driver)
        self.workers = PostgresWorkers(driver)
        self.mailbox = PostgresMailbox(driver)
        self.dead = PostgresDeadLetters(driver)
        self.keys = PostgresKeys(driver)
        self.schedules = PostgresSchedules(driver)

    def ping(self) -> Step[None]:
        """Answer if the database can be written."""
        return self.driver.single(_ping)


async def _ping(session: Session) -> None:
    await session.value("SELECT pg_current_xact_id()")


#: the result backend in the schema that `url` names
open_results: Final = Opener(Postgres, open_driver, lambda driver, _: PostgresResults(driver))
