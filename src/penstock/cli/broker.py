"""`-u URL` and `-b NAME`: how commands for raw messages are told where the broker is."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from penstock.client import discovery
from penstock.core.discovery import NAME, found

Command = TypeVar("Command", bound=Callable[..., Any])
_VARIABLES = ("PENSTOCK_BROKER_URL", "CELERY_BROKER_URL", "CELERY_BROKER_URI")


def options(command: Command) -> Command:
    """The command gets them as `url` and `broker`."""
    command = click.option("-b", "--broker", metavar="NAME", help="Or its name: in the environment, Consul or DNS.")(
        command
    )
    return click.option("-u", "--url", metavar="URL", help="The broker.  [$PENSTOCK_BROKER_URL]")(command)


def address(url: str | None, name: str | None) -> str | None:
    """The broker's URL; None leaves it to the settings.

    Where nothing is said at all, the environment may know a broker called `broker`.
    """
    if url and name:
        raise click.UsageError("give either --url or --broker")
    if name:
        return discovery.named(name)
    if url or any(os.environ.get(variable) for variable in _VARIABLES):
        return url or None
    return found(NAME, os.environ) or None
