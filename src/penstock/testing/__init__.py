"""For users' tests: tasks in memory, run when the test says so, in a time that the test moves; pytest fixtures.

And, in `conformance`, the suites that every broker and result backend passes. Each name is imported when it is first
used: pytest loads the plugin in here for every project that has Penstock installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from penstock.testing.clock import Clock
    from penstock.testing.draining import adrain, drain
    from penstock.testing.isolation import eager, memory
    from penstock.testing.schedules import fire_schedules
    from penstock.testing.submissions import Submissions, Submitted, submitted

__all__ = ["Clock", "Submissions", "Submitted", "adrain", "drain", "eager", "fire_schedules", "memory", "submitted"]

_HOMES: Final = {
    "Clock": "clock",
    "Submissions": "submissions",
    "Submitted": "submissions",
    "adrain": "draining",
    "drain": "draining",
    "eager": "isolation",
    "fire_schedules": "schedules",
    "memory": "isolation",
    "submitted": "submissions",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
