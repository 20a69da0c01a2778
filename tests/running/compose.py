"""Reads a compose file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.running.units import Check, Description, Unit

_REFERENCE = re.compile(r"\$\$|\$\{(\w+)(?:(:?[-?])([^}]*))?\}|\$(\w+)")


class MissingVariableError(Exception):
    """A variable that the file needs is not set."""


def read(file: Path, variables: Mapping[str, str], volumes: Path) -> Description:
    """The services of `file`, with `variables` filled in; named volumes are folders in `volumes`."""
    document = yaml.safe_load(interpolated(file.read_text(), variables))
    units = [_unit(name, service, file.parent, volumes) for name, service in document["services"].items()]
    return Description(tuple(units))


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """`text` with its references to variables filled in. Raises MissingVariableError for one that must be set."""

    def fill(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        name, how, rest = found[1] or found[4], found[2] or "", found[3] or ""
        value = variables.get(name)
        if value is not None and (value or ":" not in how):
            return value
        if "?" in how:
            raise MissingVariableError(f"{name}: {rest}")
        return rest if "-" in how else ""

    lines = (line if line.lstrip().startswith("#") else _REFERENCE.sub(fill, line) for line in text.splitlines())
    return "\n".join(lines)


def _unit(name: str, service: Mapping[str, Any], folder: Path, volumes: Path) -> Unit:
    needs = service.get("depends_on", {})
    published = _published(service.get("ports", ()))
    check = _check(service.get("healthcheck"))
    return Unit(
        name=name,
        image=service.get("image", ""),
        build=_dockerfile(service.get("build"), folder),
        entrypoint=_words(service.get("entrypoint")),
        command=_words(service.get("command")),
        environment=variables(service.get("environment", {})),
        ports=tuple(dict.fromkeys([*published.values(), *(int(port) for port in service.get("expose", ()))])),
        published=published,
        volumes=dict(_volume(each, folder, volumes) for each in service.get("volumes", ())),
        replicas=service.get("deploy", {}).get("replicas", service.get("scale", 1)),
        needs=tuple(needs),
        ready=check,
        stop=seconds(service.get("stop_grace_period", "10s")),
        restart=service.get("restart", "no") in ("always", "unless-stopped", "on-failure"),
    )


def variables(given: Mapping[str, Any] | list[str]) -> dict[str, str]:
    """`environment:` in either form."""
    if isinstance(given, list):
        return {name: value for name, _, value in (each.partition("=") for each in given)}
    return {name: "" if value is None else str(value) for name, value in given.items()}


def seconds(duration: str | int) -> float:
    """`1m30s` in seconds."""
    parts = re.findall(r"([\d.]+)(ms|us|h|m|s)", f"{duration}")
    return sum(
        float(number) * {"h": 3600, "m": 60, "s": 1, "ms": 0.001, "us": 0.000001}[unit] for number, unit in parts
    )


def _dockerfile(build: Any, folder: Path) -> Path | None:
    if build is None:
        return None
    context = folder / (build if isinstance(build, str) else build.get("context", "."))
    return context / ("Dockerfile" if isinstance(build, str) else build.get("dockerfile", "Dockerfile"))


def _words(command: Any) -> tuple[str, ...] | None:
    if command is None:
        return None
    return tuple(shlex.split(command) if isinstance(command, str) else map(str, command))


def _published(ports: Any) -> dict[int, int]:
    found: dict[int, int] = {}
    for each in ports:
        if isinstance(each, dict):
            target = int(each["target"])
            found[int(each.get("published") or target)] = target
            continue
        outside, _, inside = f"{each}".rpartition(":")
        first = (outside.rpartition(":")[2] or inside).partition("-")[0]
        found[int(first)] = int(inside.partition("-")[0].partition("/")[0])
    return found


def _volume(given: Any, folder: Path, volumes: Path) -> tuple[str, Path]:
    if isinstance(given, str):
        source, inside = given.split(":")[:2]
    else:
        source, inside = given["source"], given["target"]
    place = (folder / source).resolve() if source.startswith((".", "/")) else volumes / source
    if not place.exists():
        place.mkdir(parents=True)
    return inside, place


def _check(given: Mapping[str, Any] | None) -> Check | None:
    if not given or given.get("disable"):
        return None
    test = given["test"]
    command = ("/bin/sh", "-c", test) if isinstance(test, str) else tuple(test[1:])
    command = ("/bin/sh", "-c", *command) if not isinstance(test, str) and test[0] == "CMD-SHELL" else command
    return Check(
        command=command,
        every=seconds(given.get("interval", "30s")),
        timeout=seconds(given.get("timeout", "30s")),
        failures=given.get("retries", 3),
        grace=seconds(given.get("start_period", "0s")),
    )
