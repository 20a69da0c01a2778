"""What tasks log and print, and what they start prints, as a real worker shows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from penstock.client.app import Penstock
from tests.processes import Launched, eventually, launched

TASKS = """
import asyncio, logging, os, signal, subprocess, sys, threading
from penstock import Penstock

app = Penstock("noisy")
log = logging.getLogger("shop.orders")


@app.task(bind=True, max_retries=1, default_retry_delay=0.01)
def again(self):
    log.warning("trying")
    print("printing")
    if not self.request.retries:
        raise ValueError("first")


@app.task
async def coroutine(name):
    log.warning("%s begins", name)
    await asyncio.sleep(0.05)
    print(name, "ends", file=sys.stderr)


@app.task
def program():
    subprocess.run([sys.executable, "-c", "print('child speaks'); import sys; print('child errs', file=sys.stderr)"])
    os.write(1, b"straight to the descriptor\\n")


@app.task
def forked():
    pid = os.fork()
    if not pid:
        print("from the fork", flush=True)
        os._exit(0)
    os.waitpid(pid, 0)


@app.task
def structured():
    print('{"message": "an object", "price": 5}')


@app.task
def crash(flag):
    if os.path.exists(flag):
        os.remove(flag)
        os.write(2, b"last words without an end")
        signal.raise_signal(signal.SIGSEGV)


@app.task
def root():
    root = logging.getLogger()
    return [[type(each).__name__ for each in root.handlers], root.level]
"""

CONFIGURED = """
logging.basicConfig(format="OWN %(name)s %(message)s", level=logging.INFO, stream=sys.stdout)
"""


class Noise:
    """A worker whose lines are looked at."""

    def __init__(self, app: Penstock, process: Launched) -> None:
        self.app = app
        self.process = process

    def run(self, task: str, *args: Any) -> str:
        """Run a task to its end; return its id."""
        result = self.app.send_task(task, args)
        result.get(timeout=30)
        return result.id

    def lines(self) -> list[str]:
        return self.process.printed().splitlines()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines()]

    def with_text(self, text: str) -> list[dict[str, Any]]:
        return [each for each in self.events() if text in (each.get("event"), each.get("message"))]

    def twice(self, text: str) -> list[dict[str, Any]]:
        """Both events with this text, once they are there."""
        found = self.with_text(text)
        return found if len(found) == 2 else []

    def event(self, text: str) -> dict[str, Any]:
        """The event with this text, once it is there."""
        (found,) = eventually(lambda: self.with_text(text), what=text)
        return found


@pytest.fixture
def noise(tmp_path: Path) -> Callable[..., Any]:
    @contextmanager
    def start(more: str = "", *options: str) -> Iterator[Noise]:
        (tmp_path / "noisy.py").write_text(TASKS + more)
        app = Penstock("noisy", broker=f"sqlite:///{tmp_path}/noisy.db")
        command = ("worker", "noisy.py", "--processes", "1", *options)
        with launched(*command, cwd=tmp_path, env={"PENSTOCK_BROKER_URL": app.settings.broker_url}) as process:
            process.prints("ready:")
            yield Noise(app, process)
        app.close()

    return start


def whose(event: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(event.get(name) for name in ("task_id", "task", "attempt"))


JSON = ("--log-format", "json")


def test_what_a_task_logs_and_prints_has_its_id_name_and_attempt(noise: Any) -> None:
    with noise("", *JSON) as worker:
        task_id = worker.run("again")
        for text, logger in (("trying", "shop.orders"), ("printing", "penstock.output")):
            found = eventually(partial(worker.twice, text), what=text)
            assert {each["logger"] for each in found} == {logger}
            assert [whose(each) for each in found] == [(task_id, "again", 1), (task_id, "again", 2)]


def test_coroutines_beside_one_another_each_have_their_own(noise: Any) -> None:
    with noise("", *JSON) as worker:
        results = {name: worker.app.send_task("coroutine", [name]) for name in "abcde"}
        for name, result in results.items():
            result.get(timeout=30)
            assert whose(worker.event(f"{name} begins")) == (result.id, "coroutine", 1)
            ended = worker.event(f"{name} ends")
            assert whose(ended) == (result.id, "coroutine", 1)
            assert ended["stream"] == "stderr"


@pytest.mark.parametrize("threads", ["1", "8"])
def test_what_a_tasks_programs_and_forks_print_has_it_too(noise: Any, threads: str) -> None:
    with noise("", *JSON, "--threads", threads) as worker:
        task_id = worker.run("program")
        for text, stream in (("child speaks", "stdout"), ("child errs", "stderr")):
            event = worker.event(text)
            assert whose(event) == (task_id, "program", 1)
            assert event["stream"] == stream
            assert event["pid"] > 1
        worker.event("straight to the descriptor")
        task_id = worker.run("forked")
        assert whose(worker.event("from the fork")) == (task_id, "forked", 1)


def test_an_object_that_a_task_prints_stays_one(noise: Any) -> None:
    with noise("", *JSON) as worker:
        task_id = worker.run("structured")
        event = worker.event("an object")
        assert event == {
            "message": "an object", "price": 5, "stream": "stdout",
            "task_id": task_id, "task": "structured", "attempt": 1,
        }  # fmt: skip


def test_the_last_words_of_a_child_that_crashes_are_there(noise: Any, tmp_path: Path) -> None:
    (tmp_path / "flag").write_text("")
    with noise("", *JSON) as worker:
        worker.run("crash", str(tmp_path / "flag"))
        lines = [each["event"] for each in worker.events()]
        assert any(line.startswith("last words without an endFatal Python error: Segmentation fault") for line in lines)
        assert any("noisy.py" in line and "in crash" in line for line in lines), lines


def test_by_default_each_line_is_text_and_nothing_is_configured_behind_ones_back(noise: Any) -> None:
    with noise() as worker:
        task_id = worker.run("again")
        eventually(lambda: sum("printing" in line for line in worker.lines()) == 2)
        first = next(line for line in worker.lines() if "trying" in line)
        assert first.endswith(f" WARNING shop.orders trying task_id={task_id} task=again attempt=1")
        result = worker.app.send_task("root")
        assert result.get(timeout=30) == [[], 30]


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_applications_own_logging_stays_as_it_is_and_tells_the_task(noise: Any, form: str) -> None:
    with noise(CONFIGURED, "--log-format", form) as worker:
        task_id = worker.run("again")
        own = eventually(lambda: [line for line in worker.lines() if line.startswith("OWN")][1:])
        assert own == [f"OWN shop.orders trying task_id={task_id} task=again attempt=2"]
        result = worker.app.send_task("root")
        assert result.get(timeout=30) == [["StreamHandler"], 20]


def test_a_worker_that_ends_leaves_no_line_behind(noise: Any) -> None:
    with noise("", *JSON) as worker:
        for _ in range(20):
            worker.app.send_task("again")
            worker.app.send_task("program")
        assert worker.process.stop() == 0
        worker.events()  # each line whole, to the last
