"""Penstock in a Django project: `"penstock.integrations.django"` in INSTALLED_APPS, and `app` from here.

    from penstock.integrations.django import app

    @app.task
    def remind(user_id: int) -> None: ...

`app` is made of the project's settings when it is first asked for; tasks stand in the `tasks.py` of installed apps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.core.errors import ConfigurationError

try:
    import django  # noqa: F401 - only to say what is missing
except ModuleNotFoundError as error:
    if error.name != "django":
        raise
    raise ConfigurationError("Django is not installed: pip install 'penstock[django]'") from error

if TYPE_CHECKING:
    from penstock.integrations.django.project import DjangoPenstock

    app: DjangoPenstock

__all__ = ["app"]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name == "app":  # not an import statement: settings are known only when it is asked for
            from penstock.integrations.django.project import the_app  # noqa: PLC0415

            return the_app()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
