"""What a framework puts around every run of a task: an application context, tidy database connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Around(Protocol):
    """Runs tasks in surroundings of its own. An app has at most one, as `app.around`."""

    def run(self, work: Callable[[], T]) -> T:
        """Do `work` on this thread; return what it returns, raise what it raises."""

    async def arun(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work` on the running event loop, as `run`."""
