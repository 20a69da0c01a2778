"""What a worker is asked to be (WorkerOptions), and what it is once the app's settings are known (Plan)."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from penstock.client.app import Penstock
from penstock.core.errors import ConfigurationError
from penstock.worker.raw import Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """As given on the command line; None leaves it to the app's settings (PENSTOCK_<NAME>)."""

    queues: tuple[str, ...] = ()  #: (): the default queue and every queue that the app's tasks name
    processes: int | None = None
    threads: int | None = None  #: of each process, for plain functions; 1: a process slot, they run on its main thread
    concurrency: int | None = None  #: coroutines at once, of each process
    name: str | None = None  #: unique among live workers; the host's name is added unless it contains an @
    grace: float | None = None  #: seconds for running tasks to finish after SIGTERM
    max_tasks_per_child: int | None = None
    max_memory_per_child: int | None = None  #: bytes
    health_host: str = "0.0.0.0"  # noqa: S104 - probes come from other machines; it tells nothing that is secret
    health_port: int | None = None  #: None: no health port; 0: any free one
    scheduler: bool = True
    uid: str | None = None  #: user to become, by name or number
    lifeline: int | None = None  #: a descriptor to read: its end means SIGTERM
    ready: int | None = None  #: a descriptor to write "w" to once every process is ready
    raw: Raw | None = None  #: instead of tasks, raw messages for a program


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What every process of the worker knows. Seconds and bytes."""

    app: Penstock
    name: str
    host: str
    queues: tuple[str, ...]
    processes: int
    threads: int
    concurrency: int
    grace: float
    max_tasks: int  #: of a child; 0: no limit
    max_memory: int  #: of a child; 0: no limit
    health: tuple[str, int] | None
    scheduler: bool
    lease: float
    renewal: float
    raw: Raw | None = None

    def __str__(self) -> str:
        """For people: who takes what with what."""
        takes = f"{self.name} takes {', '.join(self.queues)} with"
        if self.raw is not None:
            return f"{takes} {self.raw.program.name}, {self.threads} at once"
        return f"{takes} {self.processes} x ({self.threads} threads + {self.concurrency} coroutines)"

    def check(self) -> None:
        """Raise ConfigurationError, naming every fault, if tasks of these queues cannot run on this machine."""
        faults: list[str] = []
        for task in self.app.tasks.values():
            if (task.options.queue or self.app.settings.default_queue) in self.queues:
                try:
                    task.check()
                except ConfigurationError as error:
                    faults += error.faults
        if faults:
            raise ConfigurationError(*faults)

    @property
    def process_slot(self) -> bool:
        """Plain functions run on the main thread of each child."""
        return self.threads == 1 and self.raw is None


def full_name(name: str, host: str) -> str:
    """What a worker that was given `name` is called."""
    return name if "@" in name else f"{name}@{host}"


def plan(app: Penstock, options: WorkerOptions) -> Plan:
    """The options completed with the app's settings and this machine's cores."""
    settings, host = app.settings, socket.gethostname()
    name = options.name or f"{app.name}-{os.getpid()}"
    return Plan(
        app=app,
        name=full_name(name, host),
        host=host,
        queues=options.queues or tuple(app.queues),
        processes=options.processes or settings.processes or cores(),
        threads=options.threads or settings.threads,
        concurrency=options.concurrency or settings.concurrency,
        grace=settings.grace if options.grace is None else options.grace,
        max_tasks=_given(options.max_tasks_per_child, settings.max_tasks_per_child),
        max_memory=_given(options.max_memory_per_child, settings.max_memory_per_child),
        health=None if options.health_port is None else (options.health_host, options.health_port),
        scheduler=options.scheduler,
        lease=settings.lease,
        renewal=settings.lease_renewal,
        raw=options.raw,
    )


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _given(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value
