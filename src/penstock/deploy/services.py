"""From one description of a deployment to the services that it consists of, the same for every target."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from penstock.core.errors import ConfigurationError
from penstock.core.fault import near

#: Where a worker in a container answers /health/* and /metrics.
HEALTH_PORT: Final = 8081
#: Seconds that a worker gets on top of its grace before it is killed, for handing back and closing.
STOP_MARGIN: Final = 5
#: Seconds beyond the grace after which `penstock worker --drain` no longer waits.
DRAIN_MARGIN: Final = 10
#: Seconds until nobody makes new connections to an instance that was taken off the list.
NEWS: Final = 3
#: `${NAME}` in a value stands for a secret; each target refers to it in its own way and none holds it.
SECRET: Final = re.compile(r"\$\{([A-Z0-9_]+)\}")
BROKERS: Final = ("sqlite", "redis", "rabbitmq", "postgres")
BACKENDS: Final = ("sqlite", "redis", "postgres")


@dataclass(frozen=True, slots=True)
class Probe:
    """How a service's health is asked for: `path` on `port` over HTTP, a `command` inside, or a bare connection."""

    port: int = 0
    path: str = ""
    ready: str = ""  #: the path that tells whether it can serve now, where that is another question
    command: tuple[str, ...] = ()
    timeout: int = 6  #: seconds that an answer may take


@dataclass(frozen=True, slots=True)
class Service:
    """One kind of process: what it runs, needs and answers to."""

    name: str
    command: tuple[str, ...]
    image: str
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0  #: that others connect to; 0: none
    volume: str = ""  #: where it keeps what must survive; "": nothing
    instances: int = 1
    probe: Probe = field(default_factory=Probe)
    stop: int = 30  #: seconds from SIGTERM to SIGKILL
    drain: tuple[str, ...] = ()  #: has this one instance finish; for what is run before SIGTERM
    draining: int = 0  #: seconds that it takes at most, on top of `stop`
    news: int = 0  #: seconds before SIGTERM in which connections still arrive
    server: bool = False  #: somebody else's program, not ours

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets in its environment and command, sorted."""
        text = " ".join((*self.environment.values(), *self.command, *self.probe.command))
        return tuple(sorted(set(SECRET.findall(text))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What a person decides. Raises ConfigurationError with every fault found."""

    name: str  #: of the app; services are called after it where a cluster is shared
    app: str  #: APP, as the command line takes it, inside the image or folder
    image: str = ""  #: "": the app's name
    queues: tuple[str, ...] = ()  #: that workers take from; (): all that the app names
    processes: int = 1  #: of each worker
    scale: Mapping[str, int] = field(default_factory=dict)  #: instances by service
    broker: str = "sqlite"
    backend: str = ""  #: "": the broker where it can hold results, else PostgreSQL
    domain: str = ""  #: under which the API is reached
    port: int = 8000
    grace: int = 25
    external: bool = False  #: broker and result backend run elsewhere: their URLs are secrets

    def __post_init__(self) -> None:
        faults = []
        if not re.fullmatch(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?", self.name):
            faults.append(
                f"name={self.name!r}: services are called after it: 1 to 32 lower-case letters, digits and dashes, "
                "a letter first; give one with --name"
            )
        for option, value, known in (("broker", self.broker, BROKERS), ("backend", self.results, BACKENDS)):
            if value not in known:
                faults.append(f"--{option} {value}: known are {', '.join(known)}")
        for service, count in self.scale.items():
            if service not in ("api", "worker"):
                found = near(service, ("api", "worker"))
                faults.append(f"--scale {service}={count}: {_meant(found)}api and worker can be scaled")
            elif count < 0:
                faults.append(f"--scale {service}={count}: not less than 0")
        if faults:
            raise ConfigurationError(*faults)

    @property
    def results(self) -> str:
        """The kind of the result backend."""
        return self.backend or ("postgres" if self.broker == "rabbitmq" else self.broker)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of servers that messages and records are kept in, each once."""
        return tuple(dict.fromkeys((self.broker, self.results)))

    @property
    def extras(self) -> str:
        """What the package must be installed with, e.g. "rabbitmq,postgres"."""
        return ",".join(kind for kind in self.kinds if kind != "sqlite")

    @property
    def servers(self) -> list[Service]:
        """Those that the deployment runs itself."""
        return [] if self.external else [SERVERS[kind] for kind in self.kinds if kind != "sqlite"]

    def services(self, *, on_one_machine: bool) -> list[Service]:
        """Servers first, then the API and the workers, in the order in which they need one another.

        Raises ConfigurationError where a file would have to be shared between machines.
        """
        if not on_one_machine and "sqlite" in self.kinds and not self.external:
            raise ConfigurationError(
                "sqlite keeps everything in a file of one machine, and a cluster has several; "
                "choose --broker redis, rabbitmq or postgres, with --backend redis or postgres"
            )
        return [*self.servers, self._api(), self._worker()]

    def _api(self) -> Service:
        return Service(
            name="api",
            image=self.image or self.name,
            command=("penstock", "api", self.app, "--host", "0.0.0.0", "--port", str(self.port)),  # noqa: S104
            environment={
                **self._places(),
                "PENSTOCK_API_KEYS": "${PENSTOCK_API_KEYS}",
                # what it is called from outside, and by its neighbours in compose and Kubernetes
                "PENSTOCK_ALLOWED_HOSTS": ",".join(filter(None, (self.domain, "api", f"{self.name}-api"))),
            },
            port=self.port,
            volume=self._shared(),
            instances=self.scale.get("api", 1),
            probe=Probe(port=self.port, path="/health/live", ready="/health/ready"),
            news=NEWS,
        )

    def _worker(self) -> Service:
        command = ["penstock", "worker", self.app, "--processes", str(self.processes)]
        command += ["--queues", ",".join(self.queues)] if self.queues else []
        return Service(
            name="worker",
            image=self.image or self.name,
            command=(*command, "--grace", str(self.grace), "--health-port", str(HEALTH_PORT)),
            environment=self._places(),
            volume=self._shared(),
            instances=self.scale.get("worker", 1),
            probe=Probe(port=HEALTH_PORT, path="/health/live", ready="/health/ready"),
            stop=self.grace + STOP_MARGIN,
            drain=("penstock", "worker", self.app, "--drain", "--grace", str(self.grace)),
            draining=DRAIN_MARGIN,
        )

    def _shared(self) -> str:
        return "/data" if "sqlite" in self.kinds and not self.external else ""

    def _places(self) -> dict[str, str]:
        if self.external:
            names = ["PENSTOCK_BROKER_URL"] + (["PENSTOCK_RESULT_BACKEND"] if len(self.kinds) > 1 else [])
            return {name: f"${{{name}}}" for name in names}
        return {
            "PENSTOCK_BROKER_URL": _BROKER_URLS[self.broker],
            "PENSTOCK_RESULT_BACKEND": _BACKEND_URLS[self.results],
        }


def _meant(found: list[str]) -> str:
    return f"did you mean {found[0]}? " if found else ""


_BROKER_URLS: Final = {
    "sqlite": "sqlite:////data/penstock.db",
    "redis": "redis://:${REDIS_PASSWORD}@redis:6379/0",
    "rabbitmq": "amqp://penstock:${RABBITMQ_PASSWORD}@rabbitmq:5672//",
    "postgres": "postgresql://penstock:${POSTGRES_PASSWORD}@postgres:5432/penstock",
}
#: Messages and records in one Redis database, and in one file, go in one transaction.
_BACKEND_URLS: Final = {kind: url for kind, url in _BROKER_URLS.items() if kind in BACKENDS}

SERVERS: Final = {
    "redis": Service(
        name="redis",
        image="redis:7-alpine",
        command=("redis-server", "--appendonly", "yes", "--requirepass", "${REDIS_PASSWORD}"),
        environment={"REDISCLI_AUTH": "${REDIS_PASSWORD}"},
        port=6379,
        volume="/data",
        probe=Probe(port=6379, command=("redis-cli", "ping")),
        server=True,
    ),
    "rabbitmq": Service(
        name="rabbitmq",
        image="rabbitmq:3.13",
        command=(),
        environment={"RABBITMQ_DEFAULT_USER": "penstock", "RABBITMQ_DEFAULT_PASS": "${RABBITMQ_PASSWORD}"},
        port=5672,
        volume="/var/lib/rabbitmq",
        # a program that takes seconds of CPU to start
        probe=Probe(port=5672, command=("rabbitmq-diagnostics", "-q", "check_port_connectivity"), timeout=30),
        server=True,
    ),
    "postgres": Service(
        name="postgres",
        image="postgres:17",
        command=(),
        environment={
            "POSTGRES_USER": "penstock",
            "POSTGRES_DB": "penstock",
            "POSTGRES_PASSWORD": "${POSTGRES_PASSWORD}",
            "PGDATA": "/var/lib/postgresql/data/penstock",
        },
        port=5432,
        volume="/var/lib/postgresql/data",
        probe=Probe(port=5432, command=("pg_isready", "-U", "penstock", "-d", "penstock")),
        server=True,
    ),
}
