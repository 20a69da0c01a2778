"""Reads an app of Marathon, or a group of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.running.units import Check, Description, Unit

BALANCER = "marathon-lb.marathon.mesos"


def read(files: list[Path], secrets: Mapping[str, str], volumes: Path, dockerfile: Path | None) -> Description:
    """The apps of `files`, in the order given; images of our own are built from `dockerfile`."""
    apps = [app for file in files for app in _apps(json.loads(file.read_text()))]
    units = tuple(_unit(app, secrets, volumes, dockerfile) for app in apps)
    return Description(units, balancer=BALANCER)


def _apps(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "apps" not in document and "groups" not in document:
        yield document
    yield from document.get("apps", ())
    for group in document.get("groups", ()):
        yield from _apps(group)


def _unit(app: Mapping[str, Any], secrets: Mapping[str, str], volumes: Path, dockerfile: Path | None) -> Unit:
    container = app["container"]
    docker = container["docker"]
    mappings = container.get("portMappings") or docker.get("portMappings") or []
    ports = [mapping["containerPort"] for mapping in mappings]
    checks = [_check(check, ports) for check in app.get("healthChecks", ())]
    args = tuple(app["args"]) if "args" in app else None
    shell = ("/bin/sh", "-c", app["cmd"]) if app.get("cmd") else None
    places = {
        each["containerPath"]: volumes / app["id"].strip("/") / each["containerPath"].strip("/")
        for each in container.get("volumes", ())
    }
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    return Unit(
        name=app["id"].strip("/").rpartition("/")[2],
        image=docker["image"],
        build=dockerfile if is_own(docker["image"]) else None,
        entrypoint=() if shell else None,
        command=shell or args,
        environment=dict(_environment(app, secrets)),
        ports=tuple(ports),
        balanced={
            mapping["servicePort"]: mapping["containerPort"] for mapping in mappings if mapping.get("servicePort")
        },
        volumes=places,
        replicas=app.get("instances", 1),
        needs=tuple(each.rpartition("/")[2] for each in app.get("dependencies", ())),
        alive=checks[0] if checks else None,
        stop=app.get("taskKillGracePeriodSeconds", 3),
        labels=app.get("labels", {}),
    )


def is_own(image: str) -> bool:
    """Whether an image is not one of the servers' official ones."""
    return image.rpartition("/")[2].partition(":")[0] not in ("redis", "rabbitmq", "postgres", "nginx", "haproxy")


def _environment(app: Mapping[str, Any], secrets: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in app.get("env", {}).items():
        if isinstance(value, str):
            yield name, value
        else:
            source = app["secrets"][value["secret"]]["source"]
            yield name, secrets[source.rpartition("/")[2]]


def _check(given: Mapping[str, Any], ports: list[int]) -> Check:
    over_http = "HTTP" in given["protocol"]
    return Check(
        port=given.get("port") or ports[given.get("portIndex", 0)],
        path=given.get("path", "/") if over_http else "",
        every=given.get("intervalSeconds", 60),
        timeout=given.get("timeoutSeconds", 20),
        failures=given.get("maxConsecutiveFailures", 3),
        grace=given.get("gracePeriodSeconds", 300),
    )
