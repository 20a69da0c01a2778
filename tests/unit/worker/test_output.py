"""What tasks and what they start print, line by line."""

from __future__ import annotations

import gc
import io
import json
import logging
import os
import selectors
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from penstock.client.context import Running, running
from penstock.core.request import Request
from penstock.worker import logs, output
from penstock.worker.output import Lines, Tap, Taps
from penstock.worker.slots import Seat, seats


@pytest.fixture
def told() -> Iterator[io.StringIO]:
    """Everything that becomes an event, as JSON."""
    logger = logging.getLogger("penstock")
    before = logger.handlers[:], logger.level, logger.propagate
    stream = io.StringIO()
    logs.set_up("json", "error")
    events = logs.handler()
    assert events is not None
    events.setStream(stream)
    yield stream
    logger.handlers[:], logger.level, logger.propagate = before


def events(told: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in told.getvalue().splitlines()]


def texts(told: io.StringIO) -> list[object]:
    return [event["event"] for event in events(told)]


@pytest.fixture
def lines(told: io.StringIO) -> Lines:  # noqa: ARG001 - it has to be set up first
    handler = logs.handler()
    assert handler is not None
    return Lines("stdout", 1, handler, io.BytesIO())


@contextmanager
def task(task_id: str = "7") -> Iterator[None]:
    request = Request(id=task_id, task="add", args=[], kwargs={}, embed={}, headers={})
    token = running.set(Running(request=request, app=None, report=lambda _: None))
    try:
        yield
    finally:
        running.reset(token)


class TestLines:
    def test_each_line_is_an_event_with_whose_it_is(self, lines: Lines, told: io.StringIO) -> None:
        print("outside", file=lines)
        with task():
            print("one\n\ntwo", 2, file=lines)
        first, second, third = events(told)
        assert (first["event"], first["stream"], first["logger"]) == ("outside", "stdout", "penstock.output")
        assert "task_id" not in first
        assert [second[name] for name in ("event", "task_id", "task", "attempt")] == ["one", "7", "add", 1]
        assert third["event"] == "two 2"

    def test_a_line_written_in_parts_is_one_and_tasks_do_not_mix_theirs(self, lines: Lines, told: io.StringIO) -> None:
        with task("1"):
            print("a", end="", file=lines, flush=True)
            with task("2"):
                print("b", end="", file=lines)
                print("B", file=lines)
            print("A", file=lines)
        assert [(event["event"], event["task_id"]) for event in events(told)] == [("bB", "2"), ("aA", "1")]

    def test_a_line_ends_with_its_task_at_the_latest(self, lines: Lines, told: io.StringIO) -> None:
        with task():
            print("no end", end="", file=lines)
            assert told.getvalue() == ""
        gc.collect()
        assert [(event["event"], event["task_id"]) for event in events(told)] == [("no end", "7")]

    def test_outside_a_task_a_flush_ends_it(self, lines: Lines, told: io.StringIO) -> None:
        lines.write("no end")
        lines.flush()
        lines.flush()
        assert texts(told) == ["no end"]

    def test_of_a_progress_bar_its_last_state_is_told(self, lines: Lines, told: io.StringIO) -> None:
        with task():
            for percent in range(0, 101, 10):
                lines.write(f"\r{percent} %")
            lines.write("\n")
            lines.write("windows\r\n")
            lines.write("apart\r")
            lines.write("\n")
        assert texts(told) == ["100 %", "windows", "apart"]

    def test_a_line_without_end_is_not_kept_for_ever(self, lines: Lines, told: io.StringIO) -> None:
        with task():
            lines.write("x" * (output.LONGEST + 1))
            lines.write("y\n")
        assert [len(str(text)) for text in texts(told)] == [output.LONGEST + 1, 1]

    def test_an_object_of_ones_own_is_not_wrapped(self, lines: Lines, told: io.StringIO) -> None:
        with task():
            print('{"message": "hi", "task": "mine"}', file=lines)
            print("{no json", file=lines)
            print("[1]", file=lines)
        first, second, third = events(told)
        assert first == {"message": "hi", "task": "mine", "task_id": "7", "attempt": 1, "stream": "stdout"}
        assert (second["event"], third["event"]) == ("{no json", "[1]")

    def test_it_can_be_used_as_the_stream_that_it_stands_for(self, lines: Lines) -> None:
        assert (lines.fileno(), lines.writable(), lines.isatty(), lines.encoding) == (1, True, False, "utf-8")
        lines.reconfigure(line_buffering=True)
        lines.buffer.write(b"bytes")
        lines.flush()
        assert lines.buffer.getvalue() == b"bytes"  # type: ignore[attr-defined]
        with pytest.raises(TypeError):
            lines.write(b"bytes")  # type: ignore[arg-type]


class TestTaps:
    @pytest.fixture
    def seat(self) -> Seat:
        return seats(1, 4)[0]

    @pytest.fixture
    def taps(self, told: io.StringIO, seat: Seat) -> Iterator[tuple[Taps, Tap, int]]:  # noqa: ARG002
        """The supervisor's side, one of its taps, and the descriptor that a child has of it."""
        with selectors.DefaultSelector() as selector:
            taps = Taps(selector)
            pair = taps.prepare(seat, ["add", "mul"])
            ends = [os.dup(tap.write) for tap in pair]
            taps.begin(pair, 123)
            yield taps, pair[1], ends[1]
            taps.shed()
            for end in ends:
                os.close(end)

    def test_a_line_has_the_child_and_the_task_if_one_alone_runs(
        self, taps: tuple[Taps, Tap, int], seat: Seat, told: io.StringIO
    ) -> None:
        all_taps, tap, end = taps
        os.write(end, b"before\n")
        all_taps.read(tap)
        seat.begin("7", 1, 1, 0.0, attempt=3)
        os.write(end, b"in\xff two par")
        all_taps.read(tap)
        os.write(end, b"ts\n\n")
        all_taps.read(tap)
        seat.begin("8", 1, 0, 0.0)
        os.write(end, b"whose?\n")
        all_taps.read(tap)
        first, second, third = events(told)
        assert (first["event"], first["pid"], first["stream"], "task_id" in first) == ("before", 123, "stderr", False)
        assert [second[name] for name in ("event", "task_id", "task", "attempt")] == [
            "in\\xff two parts",
            "7",
            "mul",
            3,
        ]
        assert (third["event"], "task_id" in third) == ("whose?", False)

    def test_what_a_run_beside_others_left_unread_is_not_told_as_theirs(
        self, taps: tuple[Taps, Tap, int], seat: Seat, told: io.StringIO
    ) -> None:
        all_taps, tap, end = taps
        seat.begin("long", 1, 1, 1.0)
        slot = seat.begin("short", 1, 0, 2.0)
        os.write(end, b"of the short one\n")
        seat.blur(1, 3.0)
        seat.end(slot)
        all_taps.read(tap)
        os.write(end, b"of the long one\n")
        all_taps.read(tap)
        first, second = events(told)
        assert (first["event"], "task_id" in first) == ("of the short one", False)
        assert (second["event"], second["task_id"]) == ("of the long one", "long")

    def test_what_a_run_writes_that_joins_while_it_is_looked_whose_it_is_is_nobodys(
        self, taps: tuple[Taps, Tap, int], seat: Seat, told: io.StringIO, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        all_taps, tap, end = taps
        seat.begin("long", 1, 1, 1.0)
        look = tap.whose

        def joined() -> dict[str, object]:
            found = look()
            seat.begin("short", 1, 0, 2.0)
            os.write(end, b"of the short one\n")
            return found

        monkeypatch.setattr(tap, "whose", joined)
        all_taps.read(tap)
        (event,) = events(told)
        assert "task_id" not in event

    def test_the_last_words_of_a_child_are_told_and_what_it_started_may_go_on(
        self, taps: tuple[Taps, Tap, int], seat: Seat, told: io.StringIO
    ) -> None:
        all_taps, tap, end = taps
        os.write(end, b"Fatal Python error\n" * 1000)
        all_taps.bereave(123)
        assert texts(told) == ["Fatal Python error"] * 1000
        seat.begin("8", 1, 0, 0.0)  # the next child's
        os.write(end, b"from a daemon\n")
        all_taps.read(tap)
        assert "task_id" not in events(told)[-1]

    def test_the_end_tells_what_had_no_end(self, told: io.StringIO, seat: Seat) -> None:
        with selectors.DefaultSelector() as selector:
            taps = Taps(selector)
            out, err = taps.prepare(seat, ["add"])
            os.write(out.write, b"no end")
            taps.begin([out, err], 123)
            while selector.get_map():
                for key, _ in selector.select(5):
                    taps.read(key.fileobj)  # type: ignore[arg-type]
        assert texts(told) == ["no end"]

    def test_where_nothing_is_set_up_nothing_is_tapped(self, seat: Seat) -> None:
        assert Taps(selectors.DefaultSelector()).prepare(seat, []) == [] or logs.handler() is not None
