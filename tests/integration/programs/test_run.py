"""Runs of real programs, of the kinds that hang, flood, fork and do not listen: each ends, and leaves nobody behind."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.core.errors import ProgramError
from penstock.programs.link import link
from penstock.programs.program import Limits, Program, find
from penstock.programs.run import TAIL, Finished, Time, run
from tests.processes import alive, eventually

EVERY_BYTE = bytes(range(256))


def gone(*processes: int) -> None:
    """Wait until none of them is left."""
    eventually(lambda: not any(map(alive, processes)), what=f"the end of {processes}")


def program(*argv: str, **surroundings: Any) -> Program:
    return Program(path=find(argv[0]), argv=argv, environment=dict(os.environ), **surroundings)


def shell(text: str, *arguments: str, **surroundings: Any) -> Program:
    return program("sh", "-c", text, "sh", *arguments, **surroundings)


def ran(work: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await work()

    return asyncio.run(main())


def output(what: Program, body: bytes = b"", **options: Any) -> tuple[bytes, Finished]:
    taken = bytearray()
    finished = ran(lambda: run(what, body, stdout=taken.extend, **options))
    return bytes(taken), finished


def pids(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()]


@pytest.mark.parametrize(
    "body", [b"", EVERY_BYTE, b"\n", EVERY_BYTE * 4096 * 50], ids=["empty", "bytes", "line", "50MB"]
)
def test_the_body_arrives_unchanged(body: bytes) -> None:
    out, finished = output(program("cat"), body)
    assert (out == body, finished.code) == (True, 0)


@pytest.mark.parametrize("how", ["exec <&-; sleep 0.05", "true", "head -c 1 >/dev/null"])
def test_a_program_need_not_read_its_body(how: str) -> None:
    _, finished = output(shell(how), EVERY_BYTE * 100_000)
    assert finished.code == 0


def test_both_outputs_can_be_flooded_at_once_while_the_body_is_not_read() -> None:
    flood = "head -c 5000000 /dev/zero >&2 & head -c 5000000 /dev/zero; wait; cat >/dev/null; echo the end >&2"
    out, finished = output(shell(flood), b"x" * 1_000_000)
    assert len(out) == 5_000_000
    assert len(finished.tail) == TAIL
    assert finished.last_words.endswith("the end")


def test_exit_codes_and_signals_are_told() -> None:
    assert output(shell("echo no >&2; exit 3"))[1].words == "exit code 3"
    killed = output(shell("kill -9 $$"))[1]
    assert (killed.code, killed.words) == (-9, "killed by SIGKILL")


def test_what_a_program_leaves_in_its_group_is_killed_at_its_end(tmp_path: Path) -> None:
    left = tmp_path / "pids"
    out, finished = output(shell('sleep 300 & echo $! >"$1"; (sleep 300 & echo $! >>"$1"); echo done', str(left)))
    assert (out, finished.code) == (b"done\n", 0)
    assert len(pids(left)) == 2
    gone(*pids(left))


#: seconds in which a shell has surely set its trap
TRAPPED = 2.0


def test_at_its_limits_the_whole_group_is_told_and_then_killed(tmp_path: Path) -> None:
    left = tmp_path / "pids"
    deaf = """trap 'echo term >&2' TERM; sleep 300 & echo $! $$ >"$1"; while :; do wait; sleep 0.05; done"""
    _, finished = output(shell(deaf, str(left)), time=Time(soft=TRAPPED, hard=3.5))
    assert (finished.code, finished.late, finished.last_words) == (-9, 3.5, "term")
    assert finished.words == "ran longer than 3.5 s"
    gone(*pids(left))


def test_one_that_ends_well_at_the_soft_limit_has_ended_well() -> None:
    _, finished = output(shell("trap 'exit 0' TERM; sleep 300 & wait"), time=Time(soft=TRAPPED, hard=60))
    assert (finished.code, finished.late) == (0, 0.0)
    _, finished = output(shell("trap 'exit 4' TERM; sleep 300 & wait"), time=Time(soft=TRAPPED))
    assert (finished.code, finished.late) == (4, TRAPPED)


def test_interrupts_from_outside(tmp_path: Path) -> None:
    left = tmp_path / "pids"

    async def work() -> None:
        gentle = shell("""trap 'echo bye; exit 1' TERM; echo $$ >"$1"; sleep 300 & wait""", str(left))
        task = asyncio.create_task(run(gentle, b""))
        await asyncio.to_thread(eventually, lambda: left.exists() and left.read_text())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    ran(work)
    gone(*pids(left))


def test_folder_environment_and_limits(tmp_path: Path) -> None:
    out, _ = output(
        Program(path=find("sh"), argv=("sh", "-c", 'pwd; env; ulimit -v; ulimit -t; nice'), environment={"A": "1"},
                folder=str(tmp_path), limits=Limits(memory=512 << 20, cpu=7, nice=3)),
        environment={"B": "zwei\nZeilen"},
    )  # fmt: skip
    text = out.decode()
    assert text.startswith(f"{tmp_path}\n")
    assert "A=1\n" in text
    assert "B=zwei\nZeilen\n" in text
    assert text.endswith(f"{512 << 10}\n7\n{os.nice(0) + 3}\n")


def test_a_program_over_its_memory_fails_alone() -> None:
    greedy = program(sys.executable, "-c", "bytearray(1 << 30)", limits=Limits(memory=300 << 20))
    assert "MemoryError" in output(greedy)[1].last_words
    busy = program(sys.executable, "-c", "while True: pass", limits=Limits(cpu=1))
    assert output(busy)[1].words == "killed by SIGKILL"
    assert resource.getrlimit(resource.RLIMIT_CPU)[0] == resource.RLIM_INFINITY


def test_a_program_that_is_gone_by_now_is_an_error_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "gone"
    with pytest.raises(ProgramError, match=f"cannot start {path}: No such file or directory"):
        output(Program(path=str(path), argv=("gone",)))
    with pytest.raises(ProgramError, match="cannot start the folder /no/such"):
        output(Program(path="/bin/true", argv=("true",), folder="/no/such"))
    assert output(shell("exit 127"))[1].code == 127


def test_a_sink_that_raises_ends_the_group(tmp_path: Path) -> None:
    left = tmp_path / "pids"

    def full(_: bytes) -> None:
        raise OverflowError("enough")

    with pytest.raises(OverflowError, match="enough"):
        ran(lambda: run(shell('echo $$ >"$1"; echo more; sleep 300', str(left)), b"", stdout=full))
    gone(*pids(left))


OWNER = """
import asyncio, os, sys
from penstock.programs.program import Program, find
from penstock.programs.run import run
text = 'sleep 300 & echo $! $$ $PPID >"$1"; trap "" TERM; while :; do sleep 300; done'
what = Program(path=find("sh"), argv=("sh", "-c", text, "sh", sys.argv[1]), environment=dict(os.environ))
asyncio.run(run(what, b""))
"""


@pytest.mark.parametrize("victim", ["owner", "warden"])
def test_a_killed_owner_or_warden_leaves_no_process_of_the_group(tmp_path: Path, victim: str) -> None:
    left = tmp_path / "pids"
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(left)], stderr=subprocess.PIPE)
    try:
        eventually(lambda: left.exists() and len(pids(left)) == 3)
        *group, warden = pids(left)
        os.kill(owner.pid if victim == "owner" else warden, signal.SIGKILL)
        _, said = owner.communicate(timeout=60)
        gone(*group, warden)
        assert victim == "owner" or b"ProgramError: the process that started the program died" in said
    finally:
        owner.kill()


def test_a_loop_has_one_warden_and_a_dead_one_is_replaced() -> None:
    async def work() -> tuple[int, int, int]:
        seen = []

        async def parent() -> int:
            out = bytearray()
            await run(shell("echo $PPID"), b"", stdout=out.extend)
            return int(out)

        seen += [await parent(), await parent()]
        os.kill(seen[0], signal.SIGKILL)
        mine = await link()
        await asyncio.to_thread(eventually, lambda: mine._socket is None)
        seen.append(await parent())
        return seen[0], seen[1], seen[2]

    first, second, third = ran(work)
    assert first == second != third
    eventually(lambda: not alive(third))
