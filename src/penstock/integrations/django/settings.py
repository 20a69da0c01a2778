"""The project's settings as an app's: `PENSTOCK = {...}`, and Celery's where they exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from penstock.core.errors import ConfigurationError
from penstock.core.fault import unknown
from penstock.core.settings import Settings
from penstock.core.task import APP_OPTIONS
from penstock.integrations import celery_settings


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """What a project says about Penstock."""

    options: Mapping[str, Any]  #: of Penstock(...)
    on_commit: bool = True  #: what is submitted in a transaction is queued when that is committed
    database: str = "default"  #: the one whose transactions count


_OWN: Final = {"NAME": "name", "BROKER_URL": "broker", "TASK_ROUTES": "task_routes", "QUEUES": "queues"}
_NAMES: Final[dict[str, str]] = {
    **{each.name.upper(): each.name for each in fields(Settings)},
    **{name.upper(): name for name in APP_OPTIONS},
    **_OWN,
}
_HERE: Final = {"ON_COMMIT": "on_commit", "DATABASE": "database"}


def read(settings: Any, project: str) -> ProjectSettings:
    """The settings of the project called `project`. Raises ConfigurationError with every fault."""
    given = getattr(settings, "PENSTOCK", {})
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"PENSTOCK={given!r}: expected a dictionary")
    faults = [unknown("key of PENSTOCK", name, (*_NAMES, *_HERE)) for name in given if name not in {*_NAMES, *_HERE}]
    if faults:
        raise ConfigurationError(*faults)
    found = celery_settings.options({name: getattr(settings, name) for name in dir(settings) if _celery(name)})
    own = {_NAMES[name]: value for name, value in given.items() if name in _NAMES}
    here = {_HERE[name]: value for name, value in given.items() if name in _HERE}
    return ProjectSettings({"name": project, **found, **own}, **here)


def _celery(name: str) -> bool:
    return name.startswith(("CELERY", "BROKER_"))
