"""An app for raw messages: it needs no place for records where its broker has none."""

from __future__ import annotations

from typing import Any

from penstock.client import backends
from penstock.client.app import Penstock


class Bare(Penstock):
    """An app without tasks. `keeps` tells whether there is a result backend, where dead letters go."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.keeps = bool(self.settings.result_backend)

    def backends(self, blocking: bool = False) -> backends.Backends:
        """A new broker, and a result backend if there is one."""
        if self.keeps:
            return super().backends(blocking)
        return backends.connect_bare(self.settings, clock=self.clock)
