"""What tasks log and print, and what they start prints, as a real worker shows it."""

from __future__ import annotations

import asyncio
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
def threaded():
    def speak():
        print("a thread speaks")
        log.warning("a thread logs")

    thread = threading.Thread(target=speak)
    thread.start()
    thread.join()


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


BESIDE = """

import time


@app.task
def short(number):
    subprocess.run(["echo", f"short {number}"])


@app.task
def long(begun, over):
    open(begun, "w").close()
    while not os.path.exists(over):
        time.sleep(0.01)
    subprocess.run(["echo", "long"])
"""


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


async def kept(app: Penstock, task_id: str) -> list[tuple[str, int]]:
    """What is kept of a task's log with its record: text and attempt of each line."""
    backends = Penstock("reader", broker=app.settings.broker_url).backends()
    await backends.open()
    try:
        pieces = await backends.results.logs.of_task(task_id)
    finally:
        await backends.close()
    return [(line["text"], line["attempt"]) for piece in pieces for line in json.loads(piece.lines)]


def test_what_a_task_says_is_kept_with_its_record(noise: Callable[..., Any], tmp_path: Path) -> None:
    with noise("log.addHandler(logging.StreamHandler())") as here:
        texts = ["trying", "printing"]
        again = here.run("again")  # its lines are there as soon as its ending is
        assert asyncio.run(kept(here.app, again)) == [(text, attempt) for attempt in (1, 2) for text in texts]
        assert asyncio.run(kept(here.app, here.run("root"))) == []
        (tmp_path / "flag").touch()
        for task, args, line in (
            ("program", (), "child errs"),
            ("program", (), "straight to the descriptor"),
            ("crash", (str(tmp_path / "flag"),), "last words without an end"),
        ):
            task_id = here.run(task, *args)
            found = partial(lambda task_id: asyncio.run(kept(here.app, task_id)), task_id)
            eventually(lambda: line in str(found()), what=line)  # noqa: B023 - it is asked at once


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


def test_what_programs_of_tasks_beside_one_another_print_is_never_told_as_the_others(
    noise: Any, tmp_path: Path
) -> None:
    with noise(BESIDE, *JSON) as worker:
        long = worker.app.send_task("long", [str(tmp_path / "begun"), str(tmp_path / "over")])
        eventually((tmp_path / "begun").exists)
        for number in range(20):
            worker.run("short", number)
        assert {whose(worker.event(f"short {number}")) for number in range(20)} == {(None, None, None)}
        (tmp_path / "over").touch()
        long.get(timeout=30)
        assert whose(worker.event("long")) == (long.id, "long", 1)


def test_what_a_tasks_own_threads_write_has_it_too(noise: Any) -> None:
    with noise("", *JSON) as worker:
        task_id = worker.run("threaded")
        for text in ("a thread speaks", "a thread logs"):
            assert whose(worker.event(text)) == (task_id, "threaded", 1)


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
