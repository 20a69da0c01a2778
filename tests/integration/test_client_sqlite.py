"""The synchronous calls on a real file: threads, forks, event loops, other processes, the end of the interpreter."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from penstock.client.app import Penstock
from penstock.client.submit import Submitter
from penstock.core.protocol import decode_task
from penstock.core.record import Ending
from penstock.core.step import commit
from tests.processes import eventually

SHOP = """
    import asyncio, os, sys
    from penstock import Penstock
    app = Penstock("shop", broker="sqlite:///shop.db")

    @app.task
    def add(x: int, y: int) -> int:
        return x + y
"""


@pytest.fixture
def app(tmp_path: Path) -> Penstock:
    made = Penstock("shop", broker=f"sqlite:///{tmp_path}/shop.db")

    @made.task
    def add(x: int, y: int) -> int:
        return x + y

    return made


def program(folder: Path, text: str, *arguments: str) -> subprocess.Popen[str]:
    """A program that uses the app, with every warning an error."""
    file = folder / "program.py"
    file.write_text(textwrap.dedent(SHOP) + textwrap.dedent(text))
    command = [sys.executable, "-W", "error", "-X", "dev", str(file), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def told(process: subprocess.Popen[str]) -> list[str]:
    """What a program prints, once it has ended well and has complained about nothing."""
    with process:
        try:
            out, err = process.communicate(timeout=60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, err) == (0, "")
    return out.split()


async def run_waiting(submitter: Submitter, tasks: dict[str, Any], count: int) -> None:
    """Do a worker's part for `count` tasks."""
    results, lease = submitter.backends.results, "lease"
    await results.leases.open(lease, "w@here", 60.0)
    consumer = submitter.backends.broker.consume(["default"], lease)
    while count > 0:
        for delivery in await consumer.fetch(10):
            value = tasks["add"].call(decode_task(delivery.message))
            ending = Ending(
                delivery=delivery,
                state="SUCCESS",
                finished_at=1.0,
                worker="w@here",
                pid=1,
                result=str(value).encode(),
            )
            await commit(results.records.finish([ending], lease), consumer.settle([delivery]))
            count -= 1
    await consumer.stop()


def work_off(app: Penstock, count: int) -> None:
    asyncio.run(app.portal.acall(lambda submitter: run_waiting(submitter, app.tasks, count)))


def ready(app: Penstock) -> int:
    async def look(submitter: Submitter) -> int:
        return sum(queue.ready for queue in await submitter.backends.broker.depth())

    return app.portal.call(look)


def test_threads_that_submit_at_once_lose_nothing_and_share_commits(app: Penstock) -> None:
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda number: app.tasks["add"].delay(number, 1), range(400)))
    assert len({outcome.id for outcome in outcomes}) == ready(app) == 400
    assert app.portal.call(transactions) < 400
    app.close()


async def transactions(submitter: Submitter) -> int:
    driver: Any = submitter.backends.broker.driver
    return int(driver.counters.transactions)


async def test_delay_works_inside_a_coroutine_and_get_says_what_to_do_instead(app: Penstock) -> None:
    outcome = app.tasks["add"].delay(2, 3)
    with pytest.raises(RuntimeError, match="a-twin"):
        outcome.get(timeout=0)
    waiting = asyncio.ensure_future(outcome.aget(timeout=30))
    await app.portal.acall(lambda submitter: run_waiting(submitter, app.tasks, 1))
    assert await waiting == 5
    app.close()


def test_get_in_one_process_is_woken_by_an_ending_in_another(app: Penstock, tmp_path: Path) -> None:
    process = program(tmp_path, "print(add.delay(20, 3).get(timeout=30))")
    work_off(app, 1)
    assert told(process) == ["23"]


def test_a_program_that_ends_leaves_nothing_behind(app: Penstock, tmp_path: Path) -> None:
    async_and_sync = """
        print(add.delay(1, 1).id)

        async def main() -> None:
            print((await add.adelay(1, 2)).id)

        asyncio.run(main())
        print(add.delay(1, 3).id)
    """
    assert len(told(program(tmp_path, async_and_sync))) == 3
    assert ready(app) == 3
    app.close()
    assert list(tmp_path.glob("*-wal")) == []


def test_a_relative_path_is_the_one_of_the_start_wherever_the_program_goes(app: Penstock, tmp_path: Path) -> None:
    told(program(tmp_path, "os.chdir('/'); add.delay(1, 1)"))
    assert ready(app) == 1
    app.close()


def test_children_that_were_forked_after_the_first_use_submit_on_their_own(app: Penstock, tmp_path: Path) -> None:
    # what a web server does that loads the application once and then forks
    forking = """
        first = add.delay(0, 0)
        children = []
        for number in range(4):
            child = os.fork()
            if child == 0:
                for _ in range(25):
                    add.delay(number, 1)
                assert first.status == "PENDING"
                sys.exit(0)
            children.append(child)
        for _ in range(25):
            add.delay(9, 9)
        print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
    """
    assert told(program(tmp_path, forking)) == ["0"] * 4
    assert ready(app) == 1 + 5 * 25
    app.close()


def test_a_fork_while_other_threads_submit_hangs_nobody(app: Penstock, tmp_path: Path) -> None:
    forking = """
        import threading
        stop = threading.Event()
        add.delay(0, 0)  # a fork while another thread imports is Python's own trouble

        def submit() -> None:
            while not stop.is_set():
                add.delay(1, 1)

        threads = [threading.Thread(target=submit) for _ in range(4)]
        for thread in threads:
            thread.start()
        codes = []
        for _ in range(10):
            child = os.fork()
            if child == 0:
                add.delay(2, 2)
                os._exit(0)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        stop.set()
        for thread in threads:
            thread.join()
        print(*codes)
    """
    assert told(program(tmp_path, forking)) == ["0"] * 10
    app.close()


def test_ctrl_c_ends_a_waiting_get(tmp_path: Path) -> None:
    waiting = """
        outcome = add.delay(1, 1)
        try:
            outcome.get()
        except KeyboardInterrupt:
            print("interrupted", outcome.status)
    """
    process = program(tmp_path, waiting)
    listeners = tmp_path / "shop.db-wake"
    eventually(lambda: listeners.is_dir() and any(listeners.glob("records.*")), what="get() to listen")
    process.send_signal(signal.SIGINT)
    assert told(process) == ["interrupted", "PENDING"]
