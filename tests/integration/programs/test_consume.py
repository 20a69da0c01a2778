"""`penstock consume` on every broker: what amqp-consume's users expect, and what becomes of a message in the end."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from penstock.core.message import Message
from tests import places
from tests.integration.programs.consuming import Line
from tests.processes import eventually

EVERY_BYTE = bytes(range(256))
SH = ("sh", "-c")


@pytest.fixture(params=places.durable(places.BROKERS))
def line(request: pytest.FixtureRequest, tmp_path: Path) -> Line:
    place = places.place(request.param, request)
    results = place.url if place.name in places.RESULTS else f"sqlite:///{tmp_path}/results.db"
    return Line(place.url, results, tmp_path)


def run(line: Line, options: list[str], *program: str) -> subprocess.CompletedProcess[bytes]:
    """A consumer that ends by itself."""
    command = line.command(["--log-level", "error", *options], program)
    return subprocess.run(
        command, cwd=line.folder, env={**os.environ, **line.env}, capture_output=True, timeout=120, check=False
    )


def test_bodies_arrive_as_they_are_and_output_is_passed_on(line: Line) -> None:
    bodies = [EVERY_BYTE, b"", b"\n", EVERY_BYTE * 1000]
    line.publish(*bodies)
    done = run(line, ["-c", "4"], *SH, "cat; printf '|'; echo told >&2")
    assert (done.returncode, done.stdout) == (0, b"".join(body + b"|" for body in bodies))
    assert done.stderr.count(b"told\n") == 4
    assert line.empty()


def test_a_body_of_50_megabytes_arrives_as_it_is(line: Line) -> None:
    body = os.urandom(1 << 20) * 50
    line.publish(body)
    done = run(line, ["-c", "1"], "cat")
    assert done.stdout == body, len(done.stdout)
    assert line.empty()


def test_a_program_learns_what_is_known_of_its_message(line: Line) -> None:
    properties = {"message_id": "m-1", "correlation_id": "c 2", "content_type": "text/plain", "priority": 0}
    headers = {"tenant-name": "ACME GmbH", "answer": 42, "list": [1, "x"]}
    line.put(Message(b"body", headers, properties, "work"))
    done = run(line, ["-c", "1"], "env")
    found = {each for each in done.stdout.decode().splitlines() if each.startswith("MESSAGE_")}
    assert found >= {
        "MESSAGE_QUEUE=work",
        "MESSAGE_DELIVERY=1",
        "MESSAGE_REDELIVERED=0",
        "MESSAGE_ID=m-1",
        "MESSAGE_CORRELATION_ID=c 2",
        "MESSAGE_CONTENT_TYPE=text/plain",
        "MESSAGE_HEADER_TENANT_NAME=ACME GmbH",
        "MESSAGE_HEADER_ANSWER=42",
        'MESSAGE_HEADER_LIST=[1, "x"]',
    }


def test_a_failed_message_runs_again_and_is_a_dead_letter_in_the_end(line: Line) -> None:
    line.put(Message(EVERY_BYTE, {"kept": "yes"}, {"message_id": "m"}, "work"))
    done = run(line, ["-c", "3", "--max-deliveries", "3", "--backoff", "0.01"], *SH,
               'echo "try $MESSAGE_DELIVERY"; echo "out of paper" >&2; exit 3')  # fmt: skip
    assert done.stdout == b"try 1\ntry 2\ntry 3\n"
    assert line.empty()
    [letter] = line.letters()
    assert (letter.reason, letter.detail) == ("ProgramError", "exit code 3: out of paper")
    assert (letter.queue, letter.deliveries) == ("work", 3)
    assert (letter.message.body, letter.message.headers) == (EVERY_BYTE, {"kept": "yes"})
    assert letter.message.properties["message_id"] == "m"


def test_exit_code_65_is_never_tried_again(line: Line) -> None:
    line.publish(b"nonsense", b"good")
    done = run(line, ["-c", "2"], *SH, 'read x; echo "$x"; [ "$x" = good ] || { echo "no invoice" >&2; exit 65; }')
    assert done.stdout == b"nonsense\ngood\n"
    assert [(letter.reason, letter.detail) for letter in line.letters()] == [("rejected", "exit code 65: no invoice")]
    assert line.empty()


def test_a_message_succeeds_at_its_second_run(line: Line) -> None:
    line.publish(b"x")
    done = run(line, ["-c", "2", "--backoff", "0"], *SH, 'echo "$MESSAGE_REDELIVERED"; [ "$MESSAGE_DELIVERY" = 2 ]')
    assert done.stdout == b"0\n1\n"
    assert line.empty()
    assert not line.letters()


def test_what_hangs_is_killed_with_all_that_it_started(line: Line) -> None:
    line.publish(b"x")
    program = line.script(
        "hang", "trap '' TERM; sleep 600 & echo $! >>pids; echo $$ >>pids; echo stuck >&2; wait; wait"
    )
    options = ["-c", "2", "--soft-time-limit", "1", "--time-limit", "2", "--max-deliveries", "2", "--backoff", "0"]
    run(line, options, program)
    [letter] = line.letters()
    assert (letter.reason, letter.detail) == ("TimeLimitExceeded", "ran longer than 2 s: stuck")
    pids = (line.folder / "pids").read_text().split()
    assert len(pids) == 4
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), what=f"the end of {pids}")


def test_without_acknowledgement_a_failed_message_is_gone(line: Line) -> None:
    line.publish(b"a", b"b")
    done = run(line, ["-c", "2", "-A"], *SH, "cat; exit 1")
    assert done.stdout == b"ab"
    assert line.empty()
    assert not line.letters()


def test_several_run_at_once(line: Line) -> None:
    line.publish(b"1", b"2", b"3")
    # each of them waits for the two others
    done = run(line, ["-c", "3", "-n", "3", "--time-limit", "60"], *SH,
               "touch here.$$; while [ $(ls here.* | wc -l) -lt 3 ]; do sleep 0.05; done; echo met")  # fmt: skip
    assert done.stdout == b"met\n" * 3


def test_sigterm_lets_what_runs_finish_and_hands_back_the_rest(line: Line) -> None:
    line.publish(*[b"%d" % number for number in range(5)])
    with line.consumer(*SH, "touch begun; until [ -e go ]; do sleep 0.05; done; cat >>done; echo >>done") as consumer:
        eventually((line.folder / "begun").exists, what="the first run")
        consumer.process.send_signal(signal.SIGTERM)
        consumer.prints("draining")
        (line.folder / "go").touch()
        assert consumer.process.wait(60) == 0
    assert (line.folder / "done").read_text() == "0\n"
    depth = line.depth()
    assert depth is not None
    assert (depth.ready + (depth.delayed or 0), depth.claimed or 0) == (4, 0)
    done = run(line, ["-c", "4"], *SH, 'cat; echo " $MESSAGE_DELIVERY"')
    assert sorted(done.stdout.split(b"\n")) == [b"", b"1 1", b"2 1", b"3 1", b"4 1"]


def test_what_does_not_finish_within_the_grace_is_handed_back(line: Line) -> None:
    line.publish(b"x")
    with line.consumer(*SH, "echo $$ >pid; sleep 600", options=["--grace", "0.2"]) as consumer:
        eventually((line.folder / "pid").exists, what="the run")
        consumer.process.send_signal(signal.SIGTERM)
        assert consumer.process.wait(60) == 0
    pid = (line.folder / "pid").read_text().strip()
    eventually(lambda: not Path(f"/proc/{pid}").exists(), what="the end of the program")
    assert run(line, ["-c", "1"], *SH, 'cat; echo " $MESSAGE_DELIVERY"').stdout == b"x 1\n"


def test_what_a_killed_consumer_held_is_for_the_others(line: Line) -> None:
    line.publish(b"x")
    with line.consumer(*SH, "echo $$ >>pids; sleep 600") as consumer:
        eventually((line.folder / "pids").exists, what="the run")
        consumer.kill_tree()
    pid = (line.folder / "pids").read_text().strip()
    eventually(lambda: not Path(f"/proc/{pid}").exists(), what="the end of the program")
    assert run(line, ["-c", "1"], *SH, 'cat; echo " $MESSAGE_DELIVERY"').stdout == b"x 2\n"
    assert not line.letters()


@pytest.mark.parametrize(
    ("name", "mode", "said"),
    [
        ("no-such-program", None, "error: there is no program 'no-such-program' on the PATH"),
        ("./no-such-file", None, "error: ./no-such-file: no such file or directory"),
        ("./letter.txt", 0o644, "error: ./letter.txt: is not executable; chmod +x"),
        (".", None, "error: there is no program '.' on the PATH"),
    ],
)
def test_a_program_that_cannot_run_is_one_line_at_the_start(
    tmp_path: Path, name: str, mode: int | None, said: str
) -> None:
    line = Line(f"sqlite:///{tmp_path}/x.db", f"sqlite:///{tmp_path}/x.db", tmp_path)
    if mode is not None:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(mode)
    done = run(line, [], name)
    assert done.returncode == 1
    [told] = done.stderr.decode().splitlines()
    assert told.startswith(said)
