"""A field for the worker's integration tests: a database, the app of worker_app.py, its ledger, worker processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from penstock.client import operations
from penstock.client.app import Penstock
from penstock.client.backends import Backends
from penstock.core.record import Record, WorkerInfo
from penstock.core.states import ENDED
from penstock.core.step import commit
from penstock.drivers.sqlite.lock import FileLock
from tests.processes import Launched, children, eventually, launched

T = TypeVar("T")

#: for what goes through the server: a file and a server, the two kinds of places that hold messages and records
on_two = pytest.mark.parametrize("store", ["sqlite", "postgres"], indirect=True)


class Field:
    """One test's database and ledger."""

    def __init__(self, folder: Path, url: str = "", **settings: Any) -> None:
        self.folder = folder
        self.url = url or f"sqlite:///{folder}/field.db"
        self.ledger = folder / "ledger.txt"
        self.settings = settings
        self.app = Penstock("field", broker=self.url, **settings)
        shutil.copy(Path(__file__).with_name("worker_app.py"), folder / "worker_app.py")

    @property
    def env(self) -> dict[str, str]:
        given = {f"PENSTOCK_{name.upper()}": str(value) for name, value in self.settings.items()}
        return {"PENSTOCK_BROKER_URL": self.url, "LEDGER": str(self.ledger), **given}

    @contextlib.contextmanager
    def worker(self, *options: str, processes: int = 1, ready: bool = True) -> Iterator[Worker]:
        command = ("worker", "worker_app.py", "--processes", str(processes), *options)
        with launched(*command, cwd=self.folder, env=self.env) as process:
            worker = Worker(self, process)
            if ready:
                process.prints("ready:")
            yield worker

    def send(self, task: str, *args: Any, **options: Any) -> str:
        return self.app.send_task(task, args, **options).id

    def send_many(self, task: str, count: int, *args: Any) -> list[str]:
        """In one transaction, so that one fetch may bring them all."""

        async def submit(backends: Backends) -> list[str]:
            made = [self.app.prepare(task, args, check=False) for _ in range(count)]
            for start in range(0, count, 1000):
                part = made[start : start + 1000]
                await commit(
                    backends.results.records.create([each.record for each in part]),
                    backends.broker.publish([each.message for each in part]),
                )
            return [each.record.task_id for each in made]

        return self.ask(submit)

    def ask(self, question: Callable[[Backends], Awaitable[T]]) -> T:
        """Open the back ends and ask them something."""

        async def main() -> T:
            async with self.app.backends() as backends:
                return await question(backends)

        return asyncio.run(main())

    @contextlib.contextmanager
    def standstill(self) -> Iterator[None]:
        """Nobody else can write meanwhile; everybody can read."""
        with contextlib.closing(FileLock(f"{self.folder}/field.db-lock")) as lock:
            assert lock.take() or lock.wait(10.0)
            try:
                yield
            finally:
                lock.release()

    def records(self, task_ids: list[str]) -> dict[str, Record]:
        return self.ask(lambda backends: backends.results.records.get(task_ids))

    def record(self, task_id: str) -> Record:
        return self.records([task_id])[task_id]

    def ended(self, *task_ids: str, within: float = 60.0) -> list[Record]:
        """Their records, once all have ended."""

        def probe() -> list[Record] | None:
            found = self.records(list(task_ids))
            done = all(found[task_id].state in ENDED for task_id in task_ids)
            return [found[task_id] for task_id in task_ids] if done else None

        return eventually(probe, within=within, what=f"{len(task_ids)} tasks to end") or []

    def seen(self, task_id: str, what: Callable[[Record], object], within: float = 60.0) -> Record:
        """Its record, once `what` is true of it."""

        def probe() -> Record | None:
            record = self.record(task_id)
            return record if what(record) else None

        found = eventually(probe, within=within, what=f"record of {task_id}")
        assert found is not None
        return found

    def workers(self) -> list[WorkerInfo]:
        return self.ask(lambda backends: backends.results.workers.all())

    def depth(self) -> int:
        """All messages that are left in any way."""
        queues = self.ask(operations.depths)
        return sum(queue.ready + (queue.delayed or 0) + (queue.claimed or 0) for queue in queues)

    def events(self, task_id: str) -> list[str]:
        """What a task wrote into the ledger, e.g. ["begin", "end"]."""
        return [event for each, event, _ in self._lines() if each == task_id]

    def pids(self, task_id: str, event: str = "begin") -> list[int]:
        """The processes that it ran in, in this order."""
        return [int(pid) for each, what, pid in self._lines() if each == task_id and what == event]

    def begun(self, task_id: str, times: int = 1, within: float = 60.0) -> int:
        """Wait for a run's beginning; the pid of the process that runs it."""
        eventually(lambda: len(self.pids(task_id)) >= times, within=within, what=f"run {times} of {task_id}")
        return self.pids(task_id)[times - 1]

    def runs(self) -> Counter[str]:
        return Counter(each for each, event, _ in self._lines() if event == "begin")

    def _lines(self) -> list[list[str]]:
        text = self.ledger.read_text() if self.ledger.exists() else ""
        return [line.split() for line in text.splitlines()]


def result_of(record: Record) -> Any:
    """The value, or the exception object, that a task ended with."""
    assert record.result is not None
    return json.loads(record.result)


def error_of(record: Record) -> str:
    """The class of the exception that it ended with."""
    return str(result_of(record)["exc_type"])


def seconds_of(record: Record) -> float:
    """How long it ran."""
    assert record.started_at is not None
    assert record.finished_at is not None
    return record.finished_at - record.started_at


def _born(pid: int) -> tuple[int, int]:
    """When a process began, in clock ticks since the boot, as numbers begin anew at the largest; last, who is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return sys.maxsize, pid
    return int(stat.rsplit(")", 1)[1].split()[19]), pid


class Worker:
    """A worker's processes."""

    def __init__(self, field: Field, process: Launched) -> None:
        self.field = field
        self.process = process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def keeper(self) -> int:
        """The first that was forked; none before it was asked for may have died."""
        return min(children(self.pid), key=_born)

    @property
    def children(self) -> list[int]:
        keeper = self.keeper
        return sorted(pid for pid in children(self.pid) if pid != keeper)

    def freeze(self) -> list[int]:
        """Stop all its processes, none of them in the middle of a write: that would stop everybody."""
        pids = [self.pid, self.keeper, *self.children]
        with self.field.standstill():
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
        return pids

    def signal(self, number: int, pid: int | None = None) -> None:
        os.kill(pid or self.pid, number)
