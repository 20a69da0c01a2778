"""A process that must not outlive another one: it holds the reading end of a pipe and ends when the other end closes.

Works however the other one ends, also by SIGKILL, on every Unix.
"""

from __future__ import annotations

import os
import signal
import threading

import click

option = click.option(
    "--lifeline", type=int, hidden=True, expose_value=False, callback=lambda _, __, value: hold(value)
)


def hold(descriptor: int | None) -> None:
    """From now on: SIGTERM to this process once the other end of the pipe is closed."""
    if descriptor is not None:
        threading.Thread(target=_wait, args=(descriptor,), name="lifeline", daemon=True).start()


def _wait(descriptor: int) -> None:
    os.read(descriptor, 1)
    os.kill(os.getpid(), signal.SIGTERM)
