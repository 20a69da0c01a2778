"""The processes of `penstock dev`: an API and a worker, replaced together when the app's source changes.

The address is bound here and handed down, so that it is taken only once and requests sent during a reload wait instead
of failing. Each child holds the reading end of a pipe and ends when this process does, however it ends (cli.lifeline).
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Self

from penstock.cli.sources import Sources

#: A reload does not wait for long tasks: they are handed back and run again with the new code.
GRACE = "2"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE = 10.0  # seconds a child may take to end beyond its grace, before it is killed
_GLANCE = 0.1  # seconds between two looks whether a child that is not ready yet has ended


class Development:
    """The API and the worker of one app; as a context manager it listens to signals, and leaves nothing behind."""

    def __init__(self, app_path: str, folder: Path, commands: Mapping[str, Sequence[str]], keep: Sequence[int]) -> None:
        self.app_path = app_path
        self.sources = Sources(folder)
        self.commands = commands  #: name → arguments of `penstock`; each tells its first letter when it is ready
        self.keep = list(keep)  #: descriptors that children inherit
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self._lifeline, self._life = os.pipe()  # children hold the first; they end when the second closes
        self._heard, self._say = os.pipe()  # children hold the second, and say there that they are ready
        self._woken = os.pipe()  # the second is written to at each signal
        os.set_blocking(self._woken[1], False)
        self.told: int | None = None  #: the first signal that came

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            signal.signal(number, self._tell)
        signal.set_wakeup_fd(self._woken[1])
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _tell(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  (a signal handler's shape)
        self.told = self.told or number

    def inspect(self) -> dict[str, Any] | None:
        """Import the app in a process of its own; None, after that process has told why, if it cannot be."""
        with subprocess.Popen(
            [sys.executable, "-m", "penstock.cli.example", self.app_path],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C comes here only: there it would be told as a fault of the app
        ) as child:
            assert child.stdout is not None
            said = self._read(child.stdout.fileno())
            if said is None:
                child.kill()
        described: dict[str, Any] | None = json.loads(said) if said is not None and child.returncode == 0 else None
        return described

    def _read(self, descriptor: int) -> bytes | None:
        """All that comes until the other end is closed; None at a signal."""
        parts: list[bytes] = []
        while self.told is None:
            if descriptor in select.select([descriptor, self._woken[0]], [], [])[0]:
                parts.append(os.read(descriptor, 65536))
                if not parts[-1]:
                    return b"".join(parts)
        return None

    def start(self) -> bool:
        """Start a child a command and wait until all are ready; False if one ended instead."""
        while select.select([self._heard], [], [], 0)[0]:
            os.read(self._heard, 16)  # what those before said last
        handed = {"--lifeline": self._lifeline, "--ready": self._say}
        for name, arguments in self.commands.items():
            options = [f"{option}={number}" for option, number in handed.items()]
            self.children[name] = self._child([*arguments, *options], handed.values())
        unready = {name[0] for name in self.commands}
        while unready and not self.ended() and self.told is None:
            if select.select([self._heard], [], [], _GLANCE)[0]:
                unready -= set(os.read(self._heard, 16).decode())
        return not unready

    def _child(self, arguments: Sequence[str], handed: Iterable[int]) -> subprocess.Popen[bytes]:
        """A process in a session of its own, so that Ctrl-C comes here only."""
        return subprocess.Popen(
            [sys.executable, "-m", "penstock", *arguments],
            stdin=subprocess.DEVNULL,
            env={"PENSTOCK_GRACE": GRACE, **os.environ},
            pass_fds=[*handed, *self.keep],
            start_new_session=True,
        )

    def stop(self) -> None:
        """End all children and wait for them."""
        for child in self.children.values():
            child.terminate()
        patience = time.monotonic() + float(os.environ.get("PENSTOCK_GRACE") or GRACE) + _PATIENCE
        for child in self.children.values():
            try:
                child.wait(max(0.0, patience - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        self.children.clear()

    def ended(self) -> str | None:
        """The name of a child that ended by itself."""
        return next((name for name, child in self.children.items() if child.poll() is not None), None)

    def wait_for_change(self) -> list[Path]:
        """Sleep until source files change; [] at a signal, or if a child ended by itself and no change explains it."""
        while True:
            ended = self.ended()
            if self._told_within(self.sources.pause()):
                return []
            if (changed := self.sources.changed()) or ended:
                return changed

    def _told_within(self, seconds: float) -> bool:
        """Sleep, unless a signal comes."""
        return self.told is not None or bool(select.select([self._woken[0]], [], [], seconds)[0])
