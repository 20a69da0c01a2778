"""The command line as such: help, wrong usage, faults in one line, silence after Ctrl-C and a closed pipe."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.cli.program import COMMANDS, program
from tests.acceptance.commands import CommandLine
from tests.processes import PENSTOCK, Launched, alive, clean_environment, eventually, free_port, launched, tree


def one_line(text: str) -> bool:
    return text.count("\n") == 1 and "Traceback" not in text


def test_help_lists_every_command_with_its_line(shop: CommandLine) -> None:
    out = shop.ok("--help").out
    for name, line in COMMANDS.items():
        assert f"  {name} " in out
        assert line in out


def test_help_imports_neither_asyncio_nor_the_web_server_nor_the_client() -> None:
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", PENSTOCK, "--help"], capture_output=True, text=True, check=True
    ).stderr
    modules = {line.rpartition("|")[2].strip() for line in loaded.splitlines()}
    assert "click" in modules
    assert not modules & {"asyncio", "uvicorn", "starlette", "rich", "msgspec", "sqlite3", "penstock.client"}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_of_its_own(shop: CommandLine, name: str) -> None:
    assert shop.ok(name, "--help").out.startswith(f"Usage: penstock {name}")


def test_the_line_of_each_command_says_what_its_own_help_says() -> None:
    with program.make_context("penstock", ["--help"], resilient_parsing=True) as context:
        for name in COMMANDS:
            command = program.get_command(context, name)
            assert command is not None
            assert command.help, name


def test_a_command_that_does_not_exist_is_wrong_usage_and_similar_ones_are_named(shop: CommandLine) -> None:
    outcome = shop("wrker")
    assert outcome.code == 2
    assert "worker" in outcome.err


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("def broken(:\n", "app.py"),
        ("import there_is_no_such_module\n", "there_is_no_such_module"),
        ("raise RuntimeError('the key of the shop is lost')\n", "the key of the shop is lost"),
        ("nothing = 1\n", "app"),
    ],
)
@pytest.mark.parametrize("command", ["worker", "api", "dev"])
def test_an_app_that_cannot_be_imported_is_one_clear_line(
    shop: CommandLine, command: str, content: str, reason: str
) -> None:
    (shop.folder / "app.py").write_text(content)
    port = ["--port", str(free_port())] if command != "worker" else []
    outcome = shop(command, "app.py", *port)
    assert outcome.code == 1
    assert one_line(outcome.err), outcome.err
    assert reason in outcome.err


def test_an_app_that_is_not_there_is_one_clear_line(shop: CommandLine) -> None:
    outcome = shop("worker", "nowhere.py")
    assert outcome.code == 1
    assert one_line(outcome.err)
    assert "nowhere.py" in outcome.err


def test_a_traceback_is_shown_on_request(shop: CommandLine) -> None:
    (shop.folder / "app.py").write_text("1 / 0\n")
    assert "Traceback" in shop("list", "--app", "app.py", PENSTOCK_DEBUG="1").err


def test_every_wrong_setting_is_named_at_once(shop: CommandLine) -> None:
    outcome = shop("list", PENSTOCK_THREADS="many", PENSTOCK_LEASE="-1")
    assert outcome.code == 1
    assert "PENSTOCK_THREADS" in outcome.err
    assert "PENSTOCK_LEASE" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("command", [["submit", "add", "[1, 2]", "--app", "app.py"], ["list", "--json"]])
def test_a_place_that_no_other_process_sees_is_refused(shop: CommandLine, command: list[str]) -> None:
    outcome = shop(*command, PENSTOCK_BROKER_URL="memory://")
    assert (outcome.code, outcome.out) == (1, "")
    assert one_line(outcome.err), outcome.err
    assert "memory:// is for tests" in outcome.err


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("list >&-", 0, ""),
        ("submit add '[1, 2]' --app app.py >&- 2>&-", 0, ""),
        ("publish -q raw - <&-", 1, "error: standard input is closed; name a FILE, or pipe something in\n"),
        (
            "submit add --app app.py --bulk - <&-",
            1,
            "error: standard input is closed; name a FILE, or pipe something in\n",
        ),
    ],
)
def test_a_closed_stream_is_dropped_silently_or_told_in_one_line(
    shop: CommandLine, line: str, code: int, said: str
) -> None:
    shop.ok("pause", "aside")
    done = subprocess.run(
        ["/bin/sh", "-c", f"{PENSTOCK} {line}"],
        cwd=shop.folder,
        env=shop.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)


@pytest.mark.parametrize("closing", ["<&-", "</dev/null"])
def test_purging_where_nobody_answers_names_the_option(shop: CommandLine, closing: str) -> None:
    shop.ok("pause", "aside")
    line = f"{PENSTOCK} purge aside {closing}"
    done = subprocess.run(
        ["/bin/sh", "-c", line], cwd=shop.folder, env=shop.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "say --yes" in done.stderr


def test_a_task_that_nobody_knows_leaves_no_database_and_says_what_to_do(shop: CommandLine) -> None:
    nowhere = shop("submit", "add", "[1, 2]")
    assert nowhere.code == 1
    assert "--app" in nowhere.err
    assert not (shop.folder / "penstock.db").exists()
    shop.ok("pause", "aside")
    unknown = shop("submit", "add", "[1, 2]")
    assert (
        unknown.err == "error: unknown task 'add'; start a worker that has it, or name the app that has it with --app\n"
    )


def test_seconds_of_expiry_may_be_past_and_a_wrong_time_is_told_once(shop: CommandLine) -> None:
    shop.ok("submit", "add", "[1, 2]", "--app", "app.py", "--expires", "-3")
    outcome = shop("submit", "add", "[1, 2]", "--app", "app.py", "--expires", "soon")
    assert outcome.code == 1
    assert outcome.err.count("expected") == 1


def test_a_corrupt_database_is_one_clear_line(shop: CommandLine) -> None:
    (shop.folder / "penstock.db").write_bytes(b"this is not a database, it is a letter" * 100)
    port = ["--port", str(free_port())]
    servers = [["worker", "app.py"], ["api", "app.py", *port], ["dev", *port]]
    for command in (["list"], ["submit", "add", "[1, 2]", "--app", "app.py"], *servers):
        outcome = shop(*command)
        assert outcome.code == 1, command
        assert one_line(outcome.err), outcome.err
        assert str(shop.folder / "penstock.db") in outcome.err


def test_a_database_that_cannot_be_written_is_one_clear_line(shop: CommandLine) -> None:
    outcome = shop("submit", "add", "[1, 2]", "--app", "app.py", PENSTOCK_BROKER_URL="sqlite:////proc/penstock.db")
    assert outcome.code == 1
    assert one_line(outcome.err), outcome.err
    assert "/proc/penstock.db" in outcome.err


def test_a_port_in_use_is_one_clear_line(shop: CommandLine) -> None:
    port = str(free_port())
    with launched("api", "app.py", "--port", port, cwd=shop.folder) as first:
        first.prints(port)
        for command in ("api", "dev"):
            outcome = shop(command, "app.py", "--port", port)
            assert outcome.code == 1, outcome
            assert one_line(outcome.err), outcome.err
            assert port in outcome.err


def test_a_reader_that_goes_away_is_met_with_silence(shop: CommandLine) -> None:
    shop.ok("submit", "add", "--app", "app.py", "--bulk", "-", stdin="[1, 2]\n" * 500)
    pipeline = f"{PENSTOCK} list --limit 500 --json | head -c 10"
    done = subprocess.run(
        ["/bin/sh", "-c", pipeline], cwd=shop.folder, env=shop.env, capture_output=True, text=True, check=False
    )
    assert done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("command", "sign", "code"),
    [
        (["worker", "app.py"], "ready:", 0),  # a worker that drains has done what it was told
        (["api", "app.py", "--port", "PORT"], "API on", 0),
        (["dev", "app.py", "--port", "PORT"], "Ctrl-C ends", 130),
        (["queues", "--watch"], "QUEUE", 130),
        (["top"], "QUEUE", 130),
        (["submit", "add", "[1, 2]", "--app", "app.py", "--wait", "--task-id", "waits"], "", 130),
    ],
)
def test_ctrl_c_ends_a_command_quietly_and_leaves_no_process(
    shop: CommandLine, command: list[str], sign: str, code: int
) -> None:
    shop.ok("submit", "add", "[1, 1]", "--app", "app.py")
    process = Launched([PENSTOCK, *(part.replace("PORT", str(free_port())) for part in command)], shop.folder)
    try:
        if sign:
            process.prints(sign)
        else:
            eventually(lambda: shop("show", "waits").code == 0, what="the task of the command that waits")
        family = tree(process.pid)
        process.process.send_signal(signal.SIGINT)
        assert process.process.wait(30) == code, process.printed()
        assert "Traceback" not in process.printed()
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family))
    finally:
        process.clean()


def test_ctrl_c_is_quiet_at_any_moment(shop: CommandLine) -> None:
    """Interrupted after ever longer times, from the import on, it never shows a traceback."""
    shop.ok("submit", "add", "[1, 2]", "--app", "app.py")
    for step in range(25):
        process = subprocess.Popen(
            [PENSTOCK, "list"],
            cwd=shop.folder,
            env=clean_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            process.wait(0.05 + step * 0.01)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        if not before_us(err):
            assert "Traceback" not in err, err
            assert process.returncode in {0, 130, -signal.SIGINT}


@pytest.mark.parametrize(
    "command",
    [
        ["dev", "app.py", "--port", "PORT"],
        ["api", "app.py", "--port", "PORT"],
        ["worker", "app.py", "--processes", "1"],
        ["submit", "add", "[1, 2]", "--app", "app.py", "--wait"],
        ["queues", "--watch"],
    ],
    ids=lambda command: command[0],
)
def test_ctrl_c_at_any_moment_of_its_life_leaves_nothing_behind(shop: CommandLine, command: list[str]) -> None:
    """Twenty moments, from before the first import to long after it is ready."""
    shop.ok("submit", "add", "[1, 1]", "--app", "app.py")
    for step in range(20):
        process = Launched([PENSTOCK, *(part.replace("PORT", str(free_port())) for part in command)], shop.folder)
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.process.wait(0.02 + step * 0.04)
            family = tree(process.pid)
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: whoever it started is struck, too
            code, printed = process.process.wait(30), process.printed()
            if not before_us(printed):
                assert "Traceback" not in printed
                assert code in {0, 130, -signal.SIGINT}, printed
            eventually(lambda: not any(alive(pid) for pid in [*family, *of_session(process.pid)]))  # noqa: B023
            assert list((shop.folder / "penstock.db-wake").iterdir()) == []
        finally:
            process.clean()


def before_us(printed: str) -> bool:
    """Python began, or the installed script imported us: until then Python's own handler is in charge."""
    imports = r'File ".*/penstock", line \d+, in <module>\n +(import|from) '
    begins = (
        "Python runtime state: ",
        "Error processing line ",
        "in execsitecustomize",
    )  # of Python's own start, of site
    return any(sign in printed for sign in begins) or re.search(imports, printed) is not None


def of_session(leader: int) -> list[int]:
    """Every process of the session that `leader` began, whoever its parent is now."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,sid="], capture_output=True, text=True, check=True).stdout  # noqa: S607
    return [int(pid) for pid, session in (line.split() for line in listing.splitlines()) if int(session) == leader]
