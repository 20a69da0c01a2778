"""A task's lines on their way to its record: with its ending, or about once a second; bounded."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from penstock.client.backends import Backends
from penstock.core.message import Message
from penstock.core.record import Record
from penstock.worker import logs, scribe
from penstock.worker.scribe import Scribe
from tests.unit.worker.parts import app_in_memory

KEEP = 1000


@pytest.fixture
def backends() -> Backends:
    return app_in_memory().backends()


async def recorded(backends: Backends, *task_ids: str) -> None:
    message = Message(b"[]")
    records = [
        Record(task_id=each, task="t", state="PENDING", queue="q", message=message, created_at=1.0) for each in task_ids
    ]
    await backends.results.records.create(records)


async def kept(backends: Backends, task_id: str) -> list[Any]:
    return [line for piece in await backends.results.logs.of_task(task_id) for line in json.loads(piece.lines)]


async def test_what_ended_is_handed_over_in_one_piece_and_only_once(backends: Backends) -> None:
    writer = Scribe(backends, KEEP)
    for number in range(3):
        writer.note("a", b"%d" % number)
    writer.note("b", b"9")
    (piece,) = writer.taken(["a", "silent"])
    assert (piece.task_id, piece.lines) == ("a", b"[0,1,2]")
    assert writer.taken(["a"]) == []
    assert [each.lines for each in writer.taken(["b"])] == [b"[9]"]


async def test_who_runs_on_is_written_down_in_time(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scribe, "PAUSE", 0.01)
    await recorded(backends, "a")
    writer, watch = Scribe(backends, KEEP), backends.results.records.watch(["a"])
    writer.note("a", b"1")
    assert await watch.wait(10)
    await watch.close()
    assert await kept(backends, "a") == [1]
    assert [line.state for line in await backends.results.records.changes(0)] == ["PENDING", "LOG"]


async def test_lines_of_a_task_whose_record_comes_later_wait_for_it(backends: Backends) -> None:
    writer = Scribe(backends, KEEP)
    writer.note("late", b"1")
    await writer.tell()
    writer.note("late", b"2")
    await recorded(backends, "late")
    await writer.tell()
    assert await kept(backends, "late") == [1, 2]


async def test_one_that_never_gets_a_record_is_forgotten(backends: Backends) -> None:
    writer = Scribe(backends, KEEP)
    writer.note("never", b"1")
    for _ in range(scribe.TRIES):
        await writer.tell()
    assert writer.taken(["never"]) == []


async def test_no_more_is_held_than_is_kept(backends: Backends) -> None:
    writer = Scribe(backends, KEEP)
    for _ in range(100):
        writer.note("a", b"1" * 99)
    (piece,) = writer.taken(["a"])
    assert len(piece.lines) <= KEEP + 1
    for number in range(2 * scribe.WAITING):
        writer.note("a", b"%d" % number)
    (piece,) = writer.taken(["a"])
    assert json.loads(piece.lines)[-1] == 2 * scribe.WAITING - 1


async def test_nothing_is_kept_where_nothing_is_to_be(backends: Backends) -> None:
    writer = Scribe(backends, 0)
    writer.note("a", b"1")
    assert writer.taken(["a"]) == []


def record(text: str, *args: object, **extra: Any) -> logging.LogRecord:
    found = logging.LogRecord("shop", logging.WARNING, "", 0, text, args, None)
    vars(found).update(extra)
    return found


@pytest.fixture
def said() -> Any:
    found: list[tuple[str, Any]] = []
    logs.keep(lambda task_id, line: found.append((task_id, json.loads(line))))
    yield found
    logs.keep(lambda *_: None)


def test_a_tasks_record_is_kept_once_whoever_handles_it(said: list[Any]) -> None:
    line = record("%s \x1b[31m<b>", "sold", task_id="a", attempt=2)
    assert logs.WHOSE.filter(line)
    assert logs.WHOSE.filter(line)
    [(task_id, kept_line)] = said
    assert task_id == "a"
    assert kept_line == {
        "at": kept_line["at"], "level": "warning", "logger": "shop", "text": "sold \x1b[31m<b>", "attempt": 2,
    }  # fmt: skip
    assert "_kept" not in logs.extras(line)


def test_what_is_not_a_tasks_is_not_kept(said: list[Any]) -> None:
    own = record("ours", task_id="a")
    own.name = "penstock.worker"
    for line in (record("nobody's"), own):
        logs.WHOSE.filter(line)
    assert said == []


def test_a_line_is_bounded_and_one_that_cannot_be_made_hurts_nobody(said: list[Any]) -> None:
    logs.WHOSE.filter(record("x" * 1_000_000, task_id="a"))
    logs.WHOSE.filter(record("%d", "no number", task_id="a"))
    logs.WHOSE.filter(record("half \ud800 a pair", task_id="a"))
    assert [len(line["text"]) < 9_000 for _, line in said] == [True, True]
    assert said[0][1]["text"].endswith("… (1000000 characters)")
    assert said[1][1]["text"] == "half \\ud800 a pair"


async def test_threads_may_all_speak_at_once(backends: Backends) -> None:
    writer = Scribe(backends, 1_000_000)

    def speak(name: str) -> None:
        for number in range(500):
            writer.note(name, b"%d" % number)

    await asyncio.gather(*(asyncio.to_thread(speak, name) for name in "abcd"))
    for piece in writer.taken(list("abcd")):
        assert json.loads(piece.lines) == list(range(500))
