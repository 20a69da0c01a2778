"""`penstock dev [APP]`: everything in one go on this machine, reloaded when the source changes."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from penstock.api.listen import check_exposure, listen, url
from penstock.cli import INTERRUPTED, logs, servers
from penstock.cli.development import Development
from penstock.core.settings import Settings

GUESSES = ("app.py", "tasks.py")


@click.command()
@click.argument("app_path", metavar="[APP]", required=False, envvar="PENSTOCK_APP")
@servers.address
@logs.options
def command(app_path: str | None, host: str | None, port: int | None, log_format: str, log_level: str) -> int:
    """API, dashboard, worker and scheduler in one go; reload when a .py file below the APP's folder changes.

    Without APP it is app.py or tasks.py of this folder.
    """
    app_path = app_path or guess()
    settings = Settings.load(host=host, port=port)
    check_exposure(settings.host, settings, insecure=False)
    (listener,) = listen(settings.host, settings.port, 1)
    form = ["--log-format", log_format, "--log-level", log_level]
    commands = {
        "api": ["api", app_path, "--descriptor", str(listener.fileno()), *form],
        "worker": ["worker", app_path, *form],
    }
    with Development(app_path, folder(app_path), commands, [listener.fileno()]) as development:
        return serve(development, url([listener]))


def serve(development: Development, address: str) -> int:
    """Start, say what there is, and reload at each change, until interrupted."""
    found = development.inspect()
    if found is not None:
        if development.start():
            click.echo(banner(found, address))
        while changed := development.wait_for_change():
            click.echo(f"{', '.join(sorted(path.name for path in changed)[:3])} changed: {reload(development)}")
    if development.told is not None:
        return INTERRUPTED if development.told == signal.SIGINT else 0
    if name := development.ended():
        click.echo(f"error: the {name} ended by itself, see above", err=True)
    return 1


def reload(development: Development) -> str:
    """Replace what runs, unless the app cannot be imported now; return what came of it."""
    if development.inspect() is not None:
        development.stop()
        return "reloaded" if development.start() else "the new code does not start"
    if development.ended():  # it met the same fault
        development.stop()
        return "waiting for the next change"
    return "the code from before goes on"


def guess() -> str:
    """The APP of this folder."""
    for name in GUESSES:
        if Path(name).exists():
            return name
    raise click.UsageError(f"there is neither {' nor '.join(GUESSES)} in this folder: name the APP, as in path/file.py")


def folder(app_path: str) -> Path:
    """The folder whose source is watched: that of the APP's file, its package, or the current one."""
    if app_path.partition(":")[0].endswith(".py"):
        return Path(app_path.partition(":")[0]).resolve().parent
    package = Path(app_path.partition(":")[0].partition(".")[0])
    return package.resolve() if package.is_dir() else Path.cwd()


def banner(found: Mapping[str, Any], address: str) -> str:
    """What a newcomer needs next."""
    lines = [
        f"  Dashboard {address}/ui",
        f"  API       {address}",
        f"  Docs      {address}/docs",
        f"  Database  {found['database']}",
        f"  Tasks     {', '.join(found['tasks']) or 'none yet'}",
    ]
    if found["body"]:
        body = shlex.quote(json.dumps(found["body"]))
        lines.append(f"  Try       curl -X POST {address}/tasks -H 'content-type: application/json' -d {body}")
    return "\n".join(["", *lines, "  Ctrl-C ends it all.", ""])
