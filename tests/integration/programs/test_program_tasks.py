"""`app.program`: what is declared, how the command line is filled, what comes back; run directly and in eager mode."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock import Penstock
from penstock.core.errors import ConfigurationError, InvalidArguments, ProgramError, ProgramRefused


@pytest.fixture
def app() -> Penstock:
    return Penstock("unit", eager=True)


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_arguments_come_as_one_json_object_on_stdin(app: Penstock) -> None:
    task = app.program("cat", ["cat"])
    assert task(size="200x", times=[1, 2]) == {"size": "200x", "times": [1, 2]}
    assert task() == {}


def test_stdout_is_json_if_it_parses_else_text_else_bytes(app: Penstock) -> None:
    said = app.program("said", ["printf", "{text}"])
    assert said("[1, 2]") == [1, 2]
    assert said("no json\n") == "no json\n"
    assert said("") == ""
    assert said("\\377") == b"\xff"


def test_places_are_filled_and_no_shell_looks_at_them(app: Penstock, tmp_path: Path) -> None:
    text = "import sys, json; print(json.dumps(sys.argv[1:]))"
    types = {"name": str, "times": int, "share": float, "tags": list[str], "flag": bool}
    task = app.program(
        "argv", [*python(text), "{name}", "x{times}y{share}", "{tags}", "{{name}}", "{flag}"], parameters=types
    )
    evil = f"$(touch {tmp_path}/evil); `id` 'a' \"b\" *"
    assert task(evil, 3, 0.5, ["a b"], True) == [evil, "x3y0.5", '["a b"]', "{name}", "true"]
    assert not list(tmp_path.iterdir())


def test_types_are_the_contract(app: Penstock) -> None:
    task = app.program("typed", ["cat"], parameters={"size": int})
    with pytest.raises(InvalidArguments, match=r"size: expected int"):
        task.delay(size="7")
    with pytest.raises(InvalidArguments, match=r"missing"):
        task.delay()
    schema = task.arguments.schema()
    assert schema["properties"]["size"]["type"] == "integer"
    assert schema["required"] == ["size"]


def test_a_function_states_defaults_and_keywords(app: Penstock) -> None:
    def wanted(size: int = 200, *, quality: float = 0.9, **more: Any) -> None: ...

    task = app.program("wanted", ["cat"], parameters=wanted)
    assert task(3, extra="x") == {"size": 3, "quality": 0.9, "extra": "x"}


def test_one_argument_can_be_stdin_as_it_is(app: Penstock) -> None:
    everything = bytes(range(256))
    task = app.program("raw", ["cat"], stdin="image", parameters={"image": bytes})
    assert task(everything) == everything
    assert task.delay(everything).get() == everything


def test_large_output_goes_to_a_file(app: Penstock, tmp_path: Path) -> None:
    task = app.program("large", ["head", "-c", "{size}", "/dev/zero"], parameters={"size": int}, output=str(tmp_path))
    result = task.delay(20_000_000)
    found = result.get()
    assert found == {"path": str(tmp_path / result.id), "size": 20_000_000}
    assert Path(found["path"]).stat().st_size == 20_000_000
    assert len(list(tmp_path.iterdir())) == 1
    unlimited = app.program("unlimited", ["head", "-c", "20000000", "/dev/zero"])
    with pytest.raises(ProgramError, match=r"more than 10000000 bytes to STDOUT; give the program task output=FOLDER"):
        unlimited()
    failing = app.program("failing", ["sh", "-c", "echo half; exit 1"], output=str(tmp_path))
    with pytest.raises(ProgramError, match=r"exit code 1"):
        failing()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failure_tells_exit_code_and_last_words(app: Penstock) -> None:
    task = app.program("fails", ["sh", "-c", "echo 'out of paper' >&2; exit 3"])
    with pytest.raises(ProgramError, match=r"^exit code 3: out of paper$"):
        task()
    result = task.delay()
    assert result.status == "FAILURE"
    with pytest.raises(ProgramError, match=r"out of paper"):
        result.get()
    killed = app.program("killed", ["sh", "-c", "kill -9 $$"])
    with pytest.raises(ProgramError, match=r"^killed by SIGKILL$"):
        killed()


def test_exit_code_65_is_not_retried(app: Penstock, tmp_path: Path) -> None:
    def attempts(code: int) -> int:
        text = f"echo x >>{tmp_path}/{code}; exit {code}"
        task = app.program(f"exit-{code}", ["sh", "-c", text], max_retries=2, retry_backoff=0)
        with pytest.raises(ProgramRefused if code == 65 else ProgramError):
            task.delay().get()
        return len((tmp_path / str(code)).read_text().split())

    assert (attempts(65), attempts(64)) == (1, 3)


def test_it_sees_only_what_it_is_allowed_to(app: Penstock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SECRET", "SHOP_A", "SHOP_B"):
        monkeypatch.setenv(name, "x")
    task = app.program("env", python("import os, json; print(json.dumps([dict(os.environ), os.getcwd()]))"),
                       env=["SHOP_*"], environment={"GIVEN": "y"}, cwd=str(tmp_path))  # fmt: skip
    result = task.delay()
    seen, folder = result.get()
    assert "SECRET" not in seen
    assert (seen["SHOP_A"], seen["SHOP_B"], seen["GIVEN"], seen["PENSTOCK_TASK_ID"]) == ("x", "x", "y", result.id)
    assert folder == str(tmp_path.resolve())


def test_limits_hold(app: Penstock) -> None:
    greedy = app.program("greedy", python("x = bytearray(500_000_000); print(len(x))"), memory=200_000_000)
    with pytest.raises(ProgramError, match=r"MemoryError"):
        greedy()
    nice = app.program("nice", python("import os; print(os.nice(0))"), nice=7)
    assert nice() == app.program("plain", python("import os; print(os.nice(0))"))() + 7
    busy = app.program("busy", ["sh", "-c", "while :; do :; done"], cpu=1)
    with pytest.raises(ProgramError, match=r"killed by SIG(XCPU|KILL)"):
        busy()


def test_progress_is_recorded_and_other_lines_are_told(app: Penstock, capsys: pytest.CaptureFixture[str]) -> None:
    text = "echo hello >&2; echo '::progress 0.4 half way' >&2; echo '::progress 7 nonsense' >&2; printf tail >&2"
    result = app.program("tells", ["sh", "-c", text]).delay()
    record = asyncio.run(_record(app, result.id))
    assert json.loads(record.progress) == {"fraction": 0.4, "message": "half way"}
    assert capsys.readouterr().err == "hello\n::progress 7 nonsense\ntail\n"


async def _record(app: Penstock, task_id: str) -> Any:
    async with app.backends() as backends:
        return (await backends.results.records.get([task_id]))[task_id]


LASTING = """
import json, os, sys
for line in sys.stdin:
    asked = json.loads(line)
    if asked["x"] == "die":
        sys.exit("last words")
    if asked["x"] == "refuse":
        print("::error not today", flush=True)
    else:
        print(json.dumps([os.getpid(), asked["x"]]), flush=True)
"""


def test_lasting_processes_answer_a_line_with_a_line(app: Penstock) -> None:
    task = app.program("lasting", python(LASTING), pool=2)

    async def main() -> None:
        answers = [await task.run(x=number) for number in range(5)]
        assert [each[1] for each in answers] == list(range(5))
        assert len({each[0] for each in answers}) == 1  # one was enough
        many = await asyncio.gather(*(task.run(x="y" * 300_000) for _ in range(6)))
        assert {each[1] for each in many} == {"y" * 300_000}
        assert len({each[0] for each in many}) == 2
        with pytest.raises(ProgramError, match=r"^not today$"):
            await task.run(x="refuse")
        with pytest.raises(ProgramError, match=r"^exit code 1 before it answered: last words$"):
            await task.run(x="die")
        assert (await task.run(x="alive"))[1] == "alive"

    asyncio.run(main())
    assert task(x="directly")[1] == "directly"


def test_a_task_is_never_answered_by_the_program_of_one_that_is_gone() -> None:
    async def main() -> None:
        for number in range(20):
            task = Penstock("unit").program("count", ["sh", "-c", f"while read line; do echo {number}; done"], pool=1)
            assert await task.run() == number
            del task
            gc.collect()  # what comes next may stand at its place in memory

    asyncio.run(main())


@pytest.mark.parametrize(
    ("argv", "given", "fault"),
    [
        ([], {}, "expected a program and its arguments as a list of texts"),
        ("ls -l", {}, "expected a program and its arguments as a list of texts"),
        (["{x}"], {}, "the program itself cannot come from an argument"),
        (["cat", "{x}"], {"parameters": {"y": int}}, "task bad: x: used by the program, but not among its parameters"),
        (["cat"], {"pool": -1}, "pool=-1: must be a whole number from 0 to 1024"),
        (["cat", "{x}"], {"pool": 1}, "pool: a lasting program gets its arguments as lines of JSON"),
        (["cat"], {"memory": -1}, "memory=-1: must be a whole number"),
        (["cat"], {"no_such_option": 1}, "no_such_option"),
    ],
)
def test_faults_are_told_when_it_is_registered(app: Penstock, argv: Any, given: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        app.program("bad", argv, **given)
    assert fault in str(caught.value)


def test_a_missing_program_is_no_fault_of_who_only_submits(app: Penstock) -> None:
    task = app.program("missing", ["no-such-program"])
    with pytest.raises(ProgramError, match=r"no program 'no-such-program' on the PATH"):
        task()
    with pytest.raises(ConfigurationError, match=r"^task missing: there is no program 'no-such-program' on the PATH$"):
        task.check()
