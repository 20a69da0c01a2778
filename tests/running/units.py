"""What every kind of file comes down to: units, each a kind of process with what it needs and answers to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: as a variable's value: the instance's own name, Kubernetes' `metadata.name`
OWN_NAME = "<the instance's own name>"


@dataclass(frozen=True, slots=True)
class Check:
    """How health is asked for: a `command` inside, `path` on `port` over HTTP, or a bare connection to `port`."""

    port: int = 0
    path: str = ""
    command: tuple[str, ...] = ()
    every: float = 10.0  #: seconds
    timeout: float = 5.0  #: seconds
    failures: int = 3  #: in a row, before it counts
    grace: float = 30.0  #: seconds after the start in which failures do not count


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One kind of process, `replicas` of it."""

    name: str
    image: str = ""
    build: Path | None = None  #: the Dockerfile that the image is built from
    bases: Mapping[str, Path] = field(default_factory=dict)  #: those of images that it may start from, by their names
    entrypoint: tuple[str, ...] | None = None  #: None: the image's
    command: tuple[str, ...] | None = None  #: None: the image's
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()  #: that it listens to
    published: Mapping[int, int] = field(default_factory=dict)  #: ports of this machine that lead to its own
    balanced: Mapping[int, int] = field(default_factory=dict)  #: ports of Marathon's load balancer that lead to its own
    volumes: Mapping[str, Path] = field(default_factory=dict)  #: folders and files here by their paths inside
    private: tuple[str, ...] = ()  #: paths inside that each instance has a lasting folder of its own for
    replicas: int = 1
    needs: tuple[str, ...] = ()  #: units that must be ready before it starts
    alive: Check | None = None  #: restarted when this fails
    ready: Check | None = None  #: not sent anything while this fails
    before_stop: tuple[str, ...] = ()  #: run inside before SIGTERM
    stop: float = 10.0  #: seconds from there to SIGKILL
    restart: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Name:
    """A name that leads to the instances of a unit, such as Kubernetes' Service."""

    unit: str
    ports: Mapping[int, int]  #: port of the name to port of the unit


@dataclass(frozen=True, slots=True)
class Description:
    """All that a file says."""

    units: tuple[Unit, ...]
    names: Mapping[str, Name] = field(default_factory=dict)
    links: frozenset[str] = frozenset()  #: units whose processes get Kubernetes' variables with services' addresses
    balancer: str = ""  #: the name of an HAProxy that does what the units' labels ask for; "": there is none
