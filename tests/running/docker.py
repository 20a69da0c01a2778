"""Docker, for scripts that call it: what they start are processes of a `System`.

It knows what such scripts use: build, network, run, exec, logs, stop, rm and ps. Their `docker` is docker_command.py,
which hands each command over to the `Machine` here.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.running import dockerfile
from tests.running.docker_command import SOCKET
from tests.running.instance import Instance
from tests.running.system import System
from tests.running.units import Description, Unit

Answer = dict[str, Any]
_COMMAND = Path(__file__).resolve().with_name("docker_command.py")


def machine(*, published: bool = False) -> tuple[System, Machine]:
    """A system without anything in it, and what `docker` commands of scripts reach it by."""
    system = System(Description(()), published=published)
    return system, Machine(system)


class Machine:
    """The other end: listens, and does what the commands say."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.commands: list[list[str]] = []  #: all that came
        self.networks: list[str] = []
        self._images: dict[str, Path] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="docker-", dir=system.folder))
        self._listener = socket.socket(socket.AF_UNIX)
        program = self._folder / "docker"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I "{_COMMAND}" "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def __enter__(self) -> Self:
        self._listener.bind(str(self._folder / "socket"))
        self._listener.listen()
        threading.Thread(target=self._serve, name="docker", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    @property
    def environment(self) -> dict[str, str]:
        """In which a script finds this `docker`, and what else the examples need."""
        path = os.pathsep.join(
            (str(self._folder), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))
        )
        return {**os.environ, "PATH": path, SOCKET: str(self._folder / "socket")}

    def script(self, script: Path, *arguments: str) -> str:
        """Run a script to its end and return what it printed; then wait for what it started."""
        done = subprocess.run(
            [str(script.resolve()), *arguments], env=self.environment, cwd=script.resolve().parent,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}:\n{done.stdout}\n{done.stderr}"
        self.system.wait()
        return done.stdout

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with connection:
            asked = json.loads(connection.makefile().readline())
            try:
                answer = self._do(asked["words"], Path(asked["folder"]))
            except Exception as error:  # whatever it is, the one who asked must hear of it
                answer = _said(err=f"{type(error).__name__}: {error}\n", code=1)
            with contextlib.suppress(ConnectionError):  # the one who asked was ended meanwhile
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def _do(self, words: list[str], folder: Path) -> Answer:
        self.commands.append(words)
        command, *rest = words
        done = getattr(self, f"_{command}", None)
        return done(rest, folder) if done else _said(err=f"docker {command}: not known here\n", code=125)

    def _network(self, words: Sequence[str], _folder: Path) -> Answer:
        name = words[-1]
        if words[0] == "create":
            self.networks.append(name)
        return _said(f"{name}\n", code=0 if name in self.networks else 1)

    def _logs(self, words: Sequence[str], _folder: Path) -> Answer:
        log = self._instance(words[-1]).log
        return {**_said(), "follow": str(log)} if "-f" in words else _said(log.read_text())

    def _rm(self, words: Sequence[str], _folder: Path) -> Answer:
        for name in words:
            if name in self.system.units:
                self.system.remove(name)
        return _said()

    _stop = _rm

    def _ps(self, _words: Sequence[str], _folder: Path) -> Answer:
        return _said("".join(f"{name}\n" for name in self.system.units))

    def _build(self, words: Sequence[str], folder: Path) -> Answer:
        parser = argparse.ArgumentParser()
        parser.add_argument("-t", "--tag")
        parser.add_argument("-f", "--file")
        parser.add_argument("-q", "--quiet", action="store_true")
        parser.add_argument("context")
        given = parser.parse_args(words)
        file = folder / given.file if given.file else folder / given.context / "Dockerfile"
        dockerfile.read(file, self._images)
        self._images[given.tag] = file
        return _said(f"{given.tag}\n")

    def _run(self, words: Sequence[str], folder: Path) -> Answer:
        parser = argparse.ArgumentParser()
        for option in ("--name", "--network", "--restart", "--hostname", "--stop-timeout", "--user"):
            parser.add_argument(option)
        parser.add_argument("-d", "--detach", action="store_true")
        parser.add_argument("--rm", action="store_true")
        for option in ("-p", "-v", "-e"):
            parser.add_argument(option, action="append", default=[])
        parser.add_argument("image")
        parser.add_argument("command", nargs=argparse.REMAINDER)
        given = parser.parse_args(words)
        if given.network and given.network not in self.networks:
            return _said(err=f"network {given.network} not found\n", code=125)
        if given.name in self.system.units:
            return _said(err=f"the container name {given.name} is already in use\n", code=125)
        published = {int(outside): int(inside) for outside, _, inside in (each.rpartition(":") for each in given.p)}
        unit = Unit(
            name=given.name,
            image=given.image,
            build=self._images.get(given.image),
            bases=dict(self._images),
            command=tuple(given.command) or None,
            environment=_pairs(given.e),
            published=published,
            ports=tuple(published.values()),
            volumes=dict(_mount(each, folder) for each in given.v),
            stop=float(given.stop_timeout or 10),
            restart=(given.restart or "no") != "no",
        )
        self.system.add(unit)
        self.system.scale(unit.name, 1, wait=False)
        return _said(f"{unit.name}\n")

    def _exec(self, words: Sequence[str], _folder: Path) -> Answer:
        name, *command = (word for word in words if word not in ("-i", "-t", "-it"))
        done = self._instance(name).inside(tuple(command))
        return _said(done.stdout, done.stderr, done.returncode)

    def _instance(self, name: str) -> Instance:
        return self.system[name][0]


def _said(out: str = "", err: str = "", code: int = 0) -> Answer:
    return {"out": out, "err": err, "code": code}


def _pairs(given: Sequence[str]) -> Mapping[str, str]:
    return {
        name: value if equals else os.environ.get(name, "") for name, equals, value in (e.partition("=") for e in given)
    }


def _mount(given: str, folder: Path) -> tuple[str, Path]:
    source, inside = given.split(":")[:2]
    place = (folder / source).resolve()
    place.mkdir(parents=True, exist_ok=True)
    return inside, place
