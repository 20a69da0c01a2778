"""A field whose messages are in RabbitMQ, and whose records are in SQLite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock.client.app import Penstock
from penstock.core.errors import Unavailable
from penstock.core.record import Filter
from penstock.core.states import ENDED
from tests.integration.field import Field


class RabbitField(Field):
    """One virtual host, one file and a ledger."""

    def __init__(self, folder: Path, url: str, **settings: Any) -> None:
        super().__init__(folder, **settings)
        self.broker = url
        self.app = Penstock("field", broker=url, result_backend=self.url, **settings)

    def tried(self, task: str, *args: Any) -> str:
        """The id of a task that could be sent; "" if not."""
        try:
            return self.send(task, *args)
        except Unavailable:
            return ""

    def ended_so_far(self) -> int:
        return self.ask(lambda backends: backends.results.records.count(Filter(states=sorted(ENDED))))

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, "PENSTOCK_BROKER_URL": self.broker, "PENSTOCK_RESULT_BACKEND": self.url}
