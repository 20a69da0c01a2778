"""What the running task knows of itself. A worker sets `running` around each run; tasks read it. Touches nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

import msgspec

from penstock.core.request import Request


class Running(msgspec.Struct, weakref=True, eq=False):
    """One run of a task."""

    request: Request
    app: object  #: the Penstock that the task belongs to
    report: Callable[[bytes], None]  #: takes encoded progress; callable from any thread, returns at once
    children: list[str] = msgspec.field(default_factory=list)  #: ids of tasks that this run submitted
    worker: str = ""


running: ContextVar[Running | None] = ContextVar("penstock_running", default=None)
