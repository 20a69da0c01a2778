"""Penstock in a Flask application: configured by its config, tasks in its context, `flask penstock worker`.

    queue = FlaskPenstock()

    @queue.task
    def remind(user_id: int) -> None: ...

    def create_app() -> Flask:
        app = Flask(__name__)
        queue.init_app(app)
        return app

In `remind`, `current_app` and its extensions are there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields
from typing import Any, Final, TypeVar

import click

from penstock.client.app import Penstock
from penstock.core.errors import ConfigurationError
from penstock.core.settings import PREFIX, Settings
from penstock.integrations import celery_settings

try:
    from flask import Flask
    from flask.cli import ScriptInfo
except ModuleNotFoundError as error:
    if error.name != "flask":
        raise
    raise ConfigurationError("Flask is not installed: pip install 'penstock[flask]'") from error

T = TypeVar("T")

_SETTINGS: Final = frozenset(each.name for each in fields(Settings))
#: The APP that the command line is given: whatever FLASK_APP names.
_APP: Final = "penstock.integrations.flask:app"


class FlaskPenstock(Penstock):
    """A Penstock that a Flask application configures. `options` are those of Penstock, and come before the config's.

    Config keys are `PENSTOCK_BROKER_URL` and the like, one for each setting; Celery's (`CELERY_BROKER_URL`,
    `CELERY_BROKER_URI`, `CELERY_RESULT_BACKEND`, the dictionary `CELERY`) are read where ours are unset.
    """

    def __init__(self, app: Flask | None = None, *, name: str | None = None, **options: Any) -> None:
        super().__init__(name or (app.name if app else "penstock"), **options)
        self._named = name is not None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Take the settings from `app.config`, run tasks in the context of `app`, and add `flask penstock`.

        Raises ConfigurationError with every fault of the config.
        """
        if not self._named:
            self.name = app.name
        self.configure(**settings(app.config))
        self.around = _InContext(app)
        app.extensions["penstock"] = self
        app.cli.add_command(command)


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in a Flask config. Raises ConfigurationError with every fault."""
    own = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in config.items()
        if name.startswith(PREFIX) and value is not None
    }
    celery = celery_settings.options({**config, **(config.get("CELERY") or {})})
    celery["broker_url"] = celery.pop("broker", None)
    later = [name for name in celery if name not in _SETTINGS]
    if later:
        raise ConfigurationError(*(f"CELERY: give {name}=… to FlaskPenstock(…) where it is made" for name in later))
    return {**celery, **own}


class _InContext:
    """Runs every task in an application context of its own."""

    def __init__(self, app: Flask) -> None:
        self.app = app

    def run(self, work: Callable[[], T]) -> T:
        with self.app.app_context():
            return work()

    async def arun(self, work: Callable[[], Awaitable[T]]) -> T:
        with self.app.app_context():
            return await work()


@click.command(
    "penstock",
    short_help="Workers, the HTTP API and everything else of Penstock.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(context: click.Context, arguments: tuple[str, ...]) -> None:
    """`flask penstock worker` is `penstock worker` for this application; so with all commands."""
    path = context.ensure_object(ScriptInfo).app_import_path
    if path:
        os.environ["FLASK_APP"] = path
    os.environ["PENSTOCK_APP"] = _APP
    sys.stdout.flush()
    # a process that has loaded nothing yet: a worker forks, and the application is to be loaded once
    os.execv(sys.executable, [sys.executable, "-m", "penstock", *arguments])  # noqa: S606


def _found() -> FlaskPenstock:
    """The Penstock of the application that FLASK_APP names, or of app.py or wsgi.py here."""
    try:
        app = ScriptInfo(os.environ.get("FLASK_APP")).load_app()
    except click.UsageError as error:
        raise ConfigurationError(error.format_message()) from error
    found = app.extensions.get("penstock")
    if not isinstance(found, FlaskPenstock):
        raise ConfigurationError(f"Flask application {app.name!r} has no Penstock: call FlaskPenstock().init_app(app)")
    return found


def __getattr__(name: str) -> Any:
    if name == "app":
        return _found()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
