"""Real Celery beside Penstock, on one broker: a console to its client, its workers, and ours.

Celery runs in `.venv-celery` (`make .venv-celery/.ready`), always in processes of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pytest

from penstock.client.app import Penstock
from penstock.client.backends import Backends
from penstock.core.record import DeadLetter, Record
from penstock.core.states import ENDED
from tests.processes import PENSTOCK, Launched, clean_environment, eventually

T = TypeVar("T")

HERE = Path(__file__).parent
CELERY = HERE.parents[1] / ".venv-celery" / "bin"
QUIET = {"PYTHONWARNINGS": "ignore"}  # Celery's own; and it warns of being root


class CeleryError(Exception):
    """What was raised in the console."""


class Console:
    """A process with a Celery client in it."""

    def __init__(self) -> None:
        python = CELERY / "python"
        assert python.exists(), "real Celery is missing: make .venv-celery/.ready"
        self._process = subprocess.Popen(
            [python, str(HERE / "console.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**clean_environment(), **QUIET}, start_new_session=True,
        )  # fmt: skip

    def run(self, code: str, broker: str, backend: str, it: Any = None, conf: Mapping[str, Any] | None = None) -> Any:
        """Run Python in it, where `app` is a Celery app on these, and `it` is at hand; the value of the last line."""
        order = {"code": code, "broker": broker, "backend": backend, "conf": dict(conf or {}), "it": it}
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()
        line = stdout.readline()
        assert line, f"the console ended with {self._process.wait(10)}"
        answer = json.loads(line)
        if "error" in answer:
            raise CeleryError(answer["error"] + "\n" + answer["trace"])
        return answer["value"]

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


@dataclass
class Fleet:
    """One broker that both worlds are on. `backend` is where Celery's clients look for results."""

    kind: str  #: redis or rabbitmq
    broker: str
    backend: str
    results: str  #: where our records are; "": on the broker's server
    folder: Path
    console: Console
    queue: str = "celery"
    #: how our side's URL goes on
    options: str = ""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ledger = self.folder / "ledger.txt"

    @property
    def ours(self) -> str:
        """The broker's URL as Penstock is given it."""
        return self.broker + self.options

    @cached_property
    def app(self) -> Penstock:
        """Our own client."""
        return Penstock("tasks", broker=self.ours, result_backend=self.results or None, default_queue=self.queue)

    def celery(self, code: str, it: Any = None, **conf: Any) -> Any:
        """Run Python in the console; `conf` are Celery's settings."""
        return self.console.run(code, self.broker, self.backend, it, {"task_default_queue": self.queue, **conf})

    @contextlib.contextmanager
    def worker(self, *options: str, ready: bool = True, **env: str) -> Iterator[Launched]:
        """`penstock worker`."""
        command = [PENSTOCK, "worker", str(HERE / "penstock_app.py"), "--processes", "1", *options]
        own = {
            "PENSTOCK_BROKER_URL": self.ours,
            "PENSTOCK_RESULT_BACKEND": self.results,
            "PENSTOCK_DEFAULT_QUEUE": self.queue,
        }
        with self._launched(command, {**own, **env}) as process:
            if ready:
                process.prints("ready:")
            yield process

    @contextlib.contextmanager
    def celery_worker(self, *options: str, ready: bool = True, **env: str) -> Iterator[Launched]:
        """`celery worker`, without gossip, mingle and heartbeats."""
        command = [
            str(CELERY / "celery"), "-A", "celery_app", "worker", "--concurrency=1", "--loglevel=INFO",
            "--without-gossip", "--without-mingle", "--without-heartbeat", *options,
        ]  # fmt: skip
        own = {"BROKER": self.broker, "BACKEND": self.backend, "QUEUE": self.queue, "PYTHONPATH": str(HERE), **QUIET}
        with self._launched(command, {**own, **env}) as process:
            if ready:
                process.prints(" ready.")
            yield process

    @contextlib.contextmanager
    def _launched(self, command: list[str], env: Mapping[str, str]) -> Iterator[Launched]:
        process = Launched(command, self.folder, {"LEDGER": str(self.ledger), **env})
        try:
            yield process
        finally:
            process.clean()

    # ------------------------------------------------------------------------------------------------------- looking

    def ask(self, question: Callable[[Backends], Awaitable[T]]) -> T:
        """Open our back ends and ask them something."""

        async def main() -> T:
            async with self.app.backends() as backends:
                return await question(backends)

        return asyncio.run(main())

    def ended(self, *task_ids: str, within: float = 60.0) -> list[Record]:
        """Our records of these tasks, once all have ended."""

        async def wait(backends: Backends) -> list[Record]:
            async with asyncio.timeout(within):
                while True:
                    found = await backends.results.records.get(task_ids)
                    if all(each in found and found[each].state in ENDED for each in task_ids):
                        return [found[each] for each in task_ids]
                    await asyncio.sleep(0.02)

        return self.ask(wait)

    def letters(self, count: int = 1, reason: str = "", within: float = 60.0) -> list[DeadLetter]:
        """Our dead letters, once there are so many."""

        async def page(backends: Backends) -> list[DeadLetter]:
            return (await backends.results.dead.page(reason=reason, limit=1000))[0]

        found = eventually(
            lambda: found if len(found := self.ask(page)) >= count else None, within=within, what=f"{count} letters"
        )
        assert found is not None
        return found

    def lines(self) -> list[tuple[str, str, str, int, float]]:
        """The ledger: task id, event, who, pid, when."""
        text = self.ledger.read_text() if self.ledger.exists() else ""
        return [
            (task_id, event, who, int(pid), float(when))
            for task_id, event, who, pid, when in (line.rsplit(" ", 4) for line in text.splitlines())
        ]

    def runs(self) -> Counter[str]:
        """How often each task has begun."""
        return Counter(task_id for task_id, event, *_ in self.lines() if event == "begin")

    def order(self) -> list[str]:
        """The tasks in the order in which they began."""
        return [task_id for task_id, event, *_ in self.lines() if event == "begin"]

    def begun(self, task_id: str, times: int = 1, within: float = 60.0) -> tuple[str, int, float]:
        """Who, pid, when: a run of the task, once it has begun so often."""

        def found() -> tuple[str, int, float] | None:
            mine = [
                (who, pid, when) for each, what, who, pid, when in self.lines() if (each, what) == (task_id, "begin")
            ]
            return mine[times - 1] if len(mine) >= times else None

        one = eventually(found, within=within, what=f"run {times} of {task_id}")
        assert one is not None
        return one


#: for queues that Celery's workers read
SHARED_QUEUES = {"redis": "?priority_scheme=celery", "rabbitmq": "?priority_scheme=celery"}


def fleet_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> Fleet:
    """An empty place on the run's own server of that kind."""
    broker = request.getfixturevalue(f"{kind}_server").fresh()
    backend = "rpc://" if kind == "rabbitmq" else broker
    results = f"sqlite:///{folder}/records.db" if kind == "rabbitmq" else ""
    return Fleet(kind, broker, backend, results, folder, request.getfixturevalue("console"))


def kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
