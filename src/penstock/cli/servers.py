"""What commands that listen have in common: the options `--host` and `--port`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def address(command: Command) -> Command:
    """`--host` and `--port`; None where the settings decide."""
    command = click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0: a free one.  [8000]")(
        command
    )
    return click.option("--host", help="Address to listen on.  [127.0.0.1]")(command)
