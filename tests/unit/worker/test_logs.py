"""One line an event, whose it is, and an application's own logging left as it is."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from penstock.client.context import Running, running
from penstock.core.request import Request
from penstock.worker import logs

log = logging.getLogger("penstock.test")
shop = logging.getLogger("shop")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root, last = logging.getLogger(), logging.lastResort
    before = {each: (each.handlers[:], each.level, each.propagate) for each in (log.parent, shop, root) if each}
    yield
    logging.lastResort = last
    for each, state in before.items():
        each.handlers[:], each.level, each.propagate = state
    shop.setLevel(logging.NOTSET)


@contextmanager
def root_with(*handlers: logging.Handler) -> Iterator[None]:
    """The root logger as an application has it, without those of pytest."""
    root = logging.getLogger()
    before, root.handlers[:] = root.handlers[:], handlers
    try:
        yield
        assert root.handlers == list(handlers)
    finally:
        root.handlers[:] = before


@contextmanager
def task(task_id: str = "7", retries: int = 2) -> Iterator[None]:
    request = Request(id=task_id, task="add", args=[], kwargs={}, embed={}, headers={}, retries=retries)
    token = running.set(Running(request=request, app=None, report=lambda _: None))
    try:
        yield
    finally:
        running.reset(token)


WHOSE = "task_id=7 task=add attempt=3"


class TestEvents:
    def test_an_event_is_one_line_with_what_was_given_to_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        logs.set_up("text", "info")
        log.info("ran\nwell\x1b[31m", extra={"task_id": "7", "seconds": 0.5})
        out = capsys.readouterr().out
        assert out.endswith(" INFO    penstock.test ran\\nwell\\x1b[31m task_id=7 seconds=0.5\n")

    def test_every_line_of_a_traceback_tells_the_task(self, capsys: pytest.CaptureFixture[str]) -> None:
        logs.set_up("text", "info")
        with task():
            try:
                raise ValueError("one\ntwo")
            except ValueError:
                log.exception("it failed")
        first, *story = capsys.readouterr().out.splitlines()
        assert first.endswith(f"ERROR   penstock.test it failed {WHOSE}")
        assert len(story) > 3
        assert all(" ERROR   penstock.test | " in line and line.endswith(WHOSE) for line in story)
        assert "| ValueError: one" in story[-2]

    @pytest.mark.parametrize("kind", ["text", "json"])
    def test_what_is_too_long_for_a_line_is_cut(self, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
        logs.set_up(kind, "info")
        log.info("x" * 5_000_000, extra={"value": "y" * 5_000_000})
        line = capsys.readouterr().out
        assert len(line) < 2 * logs.LONGEST + 1000
        assert line.count("… (5000000 characters)") == 2

    def test_an_event_is_one_json_object_a_line_with_its_traceback(self, capsys: pytest.CaptureFixture[str]) -> None:
        logs.set_up("json", "debug")
        try:
            raise ValueError("é")
        except ValueError:
            log.exception("failed", extra={"task_id": "7"})
        (line,) = capsys.readouterr().out.splitlines()
        event = json.loads(line)
        assert (event["level"], event["event"], event["task_id"]) == ("error", "failed", "7")
        assert "ValueError: é" in event["traceback"]
        assert event["time"].endswith("Z")
        assert "task" not in event

    def test_what_is_less_important_than_the_level_is_left_out(self, capsys: pytest.CaptureFixture[str]) -> None:
        logs.set_up("text", "warning")
        log.info("nothing")
        assert capsys.readouterr().out == ""

    def test_setting_up_twice_does_not_say_everything_twice(self, capsys: pytest.CaptureFixture[str]) -> None:
        logs.set_up("text", "info")
        logs.set_up("text", "info")
        log.info("once")
        assert capsys.readouterr().out.count("once") == 1

    def test_a_line_of_a_task_has_its_id_name_and_attempt(self, capsys: pytest.CaptureFixture[str]) -> None:
        logs.set_up("text", "info")
        with task():
            log.info("half way")
            log.info("of another", extra={"task_id": "8"})
        first, second = capsys.readouterr().out.splitlines()
        assert first.endswith(f"half way {WHOSE}")
        assert "task_id=8" in second

    def test_a_reader_who_is_gone_is_not_complained_about(self, capsys: pytest.CaptureFixture[str]) -> None:
        class Gone(io.StringIO):
            def write(self, _: str) -> int:
                raise BrokenPipeError

        logs.set_up("text", "info")
        events = logs.handler()
        assert events is not None
        events.setStream(Gone())
        log.info("nobody reads this")
        events.setStream(io.StringIO())
        assert capsys.readouterr().err == ""
        with pytest.raises(BrokenPipeError):
            Gone().write("")
        log.info("%d", "no number")
        assert "--- Logging error ---" in capsys.readouterr().err


class TestApplications:
    def test_the_root_logger_gets_neither_handler_nor_level(self) -> None:
        root = logging.getLogger()
        with root_with():
            logs.set_up("json", "debug")
            logs.adopt()
            assert (root.handlers, root.level, root.filters) == ([], logging.WARNING, [])

    def test_what_is_logged_without_any_configuration_comes_as_our_events(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        logs.set_up("text", "info")
        with root_with(), task():
            logs.adopt()
            shop.warning("careful")
            shop.info("less than Python's own level: nothing")
            shop.setLevel(logging.INFO)
            shop.info("sold")
        first, second = capsys.readouterr().out.splitlines()
        assert first.endswith(f" WARNING shop careful {WHOSE}")
        assert second.endswith(f" INFO    shop sold {WHOSE}")

    def test_ones_own_plain_text_is_signed_and_otherwise_as_configured(self) -> None:
        stream = io.StringIO()
        own = logging.StreamHandler(stream)
        own.setFormatter(logging.Formatter("%(levelname)s:%(message)s"))
        logs.set_up("json", "info")
        with root_with(own):
            logs.adopt()
            logs.adopt()
            shop.warning("outside")
            with task():
                shop.warning("inside\nsecond line")
        assert stream.getvalue().splitlines() == [
            "WARNING:outside",
            f"WARNING:inside {WHOSE}",
            "second line",
        ]

    def test_a_format_may_use_the_fields_itself_in_and_outside_a_task(self) -> None:
        stream = io.StringIO()
        own = logging.StreamHandler(stream)
        own.setFormatter(logging.Formatter("[%(task_id)s %(task)s %(attempt)s] %(message)s"))
        shop.addHandler(own)
        logs.set_up("text", "info")
        logs.adopt()
        shop.warning("outside")
        with task():
            shop.warning("inside")
        assert stream.getvalue() == "[  ] outside\n[7 add 3] inside\n"

    def test_json_and_formatters_of_ones_own_are_left_alone_and_get_the_fields(self) -> None:
        class Own(logging.Formatter):
            def format(self, record: logging.LogRecord) -> str:
                return f"{record.getMessage()}/{vars(record)['task_id']}"

        first, second = io.StringIO(), io.StringIO()
        for stream, formatter in ((first, Own()), (second, logging.Formatter('{"message": "%(message)s"}'))):
            handler = logging.StreamHandler(stream)
            handler.setFormatter(formatter)
            shop.addHandler(handler)
        logs.set_up("text", "info")
        logs.adopt()
        with task():
            shop.warning("x")
        assert first.getvalue() == "x/7\n"
        assert second.getvalue() == '{"message": "x"}\n'

    def test_a_configuration_that_disables_all_other_loggers_does_not_silence_us(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        logs.set_up("text", "info")
        logging.config.dictConfig({"version": 1})
        assert log.disabled
        logs.adopt()
        log.info("still here")
        assert "still here" in capsys.readouterr().out
        shop.disabled = False

    def test_where_nothing_is_set_up_nothing_is_touched(self) -> None:
        before = logging.lastResort
        logging.getLogger("penstock").handlers.clear()
        logs.adopt()
        assert logging.lastResort is before


def test_all_that_is_ours_goes_to_standard_output() -> None:
    logs.set_up("text", "info")
    events = logs.handler()
    assert events is not None
    assert events.stream is sys.stdout
