"""Logging in Penstock's own processes: one line an event on standard output, for people or as JSON.

The root logger belongs to the application: it gets no handler and no level. In a worker the application's own handlers
learn which task a line is of, and where nothing is configured our handler stands in for Python's last resort.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

from penstock.client.context import Running, running
from penstock.client.portal import on_loop

OUTPUT: Final = "penstock.output"  #: the logger of what tasks print
LONGEST: Final = 256 * 1024  #: characters that are shown of one message or value
KEPT: Final = 8_000  #: characters of a line that are kept with its task's record
#: What every log record has; anything else was given as `extra` and belongs to the event.
_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "_kept"}


def set_up(log_format: str, log_level: str, stream: TextIO | None = None) -> None:
    """Send what `penstock` logs to `stream` (standard output), as "text" or "json"."""
    logger = logging.getLogger("penstock")
    logger.handlers[:] = [Events(stream or sys.stdout, JsonLines() if log_format == "json" else TextLines())]
    logger.setLevel(log_level.upper())
    logger.propagate = False


def adopt() -> None:
    """After the import of an application, in a worker: let its lines tell their task.

    What an application has configured stays, but that its handlers know the task: each record has the attributes
    `task_id`, `task` and `attempt`, and plain text whose format does not name the id has them at the line's end. What
    it logs without having configured anything goes through our handler instead of Python's last resort.
    """
    events = handler()
    if events is None:
        return
    for each in _loggers():
        if each.name.partition(".")[0] == "penstock":
            each.disabled = False  # by logging.config, which disables every logger that it is not told of
    for own in applications():
        if WHOSE not in own.filters:
            own.addFilter(WHOSE)
        if isinstance(own, logging.StreamHandler) and type(own.formatter) in {logging.Formatter, type(None)}:
            own.setFormatter(Signed(own.formatter))
    logging.lastResort = events


def handler() -> Events | None:
    """The handler that `set_up` has made."""
    return next((each for each in logging.getLogger("penstock").handlers if isinstance(each, Events)), None)


def applications() -> list[logging.Handler]:
    """The handlers of the application, on whatever logger."""
    found = {id(each): each for logger in _loggers() for each in logger.handlers if not isinstance(each, Events)}
    return list(found.values())


def _loggers() -> Iterator[logging.Logger]:
    yield logging.getLogger()
    for each in list(logging.root.manager.loggerDict.values()):
        if isinstance(each, logging.Logger):
            yield each


def whose(current: Running | None) -> dict[str, Any]:
    """The fields of every line that a task writes: {"task_id", "task", "attempt"}; {} outside a task.

    A thread that a task has started does not know its task: it is taken to be the one that runs alone, if one does.
    """
    if current is None:
        return {} if on_loop() else _alone[-1]()
    request = current.request
    return {"task_id": request.id, "task": request.task, "attempt": request.retries + 1}


_alone: list[Callable[[], dict[str, Any]]] = [dict]


def guess(alone: Callable[[], dict[str, Any]]) -> None:
    """In a child: `alone` gives the fields of the one task that runs here, {} if it is not exactly one."""
    _alone[:] = [alone]


_encode: Final = msgspec.json.Encoder().encode
_keep: list[Callable[[logging.LogRecord], None]] = [lambda _: None]


def keep(note: Callable[[str, bytes], object]) -> None:
    """In a new process: `note` is given every line of a task as it is to be kept, with the task's id. On any thread."""

    def kept(record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):  # whoever writes it out tells of a line that cannot be made
            note(getattr(record, "task_id"), line_of(record))  # noqa: B009 - the filter has set it

    _keep[:] = [kept]


def line_of(record: logging.LogRecord) -> bytes:
    """A task's log record as a line to keep, in JSON; its traceback stands below its message."""
    text = record.getMessage()
    if record.exc_info and record.exc_info[0] is not None:
        text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"
    if len(text) > KEPT:
        text = f"{text[:KEPT]}… ({len(text)} characters)"
    return _encode(
        {
            "at": round(record.created, 6),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": text.encode("utf-8", "backslashreplace").decode(),  # half a surrogate pair is no JSON
            "attempt": vars(record).get("attempt") or 1,
        }
    )


class _Whose(logging.Filter):
    """Writes into each record which task it is of; empty texts outside a task, so that every format can show them."""

    def filter(self, record: logging.LogRecord) -> bool:
        given = vars(record)
        current = running.get()
        ours = current is None and record.name.partition(".")[0] == "penstock"
        for name, value in ((not ours and whose(current)) or _NOBODYS).items():
            given.setdefault(name, value)
        if given["task_id"] and "_kept" not in given and (not ours or record.name == OUTPUT):
            given["_kept"] = True  # another handler may get it, too
            _keep[-1](record)
        return True


_NOBODYS: Final = {"task_id": "", "task": "", "attempt": ""}
WHOSE: Final = _Whose()


class Events(logging.StreamHandler[TextIO]):
    """Our own handler."""

    def __init__(self, stream: TextIO, lines: logging.Formatter) -> None:
        super().__init__(stream)
        self.setFormatter(lines)
        self.addFilter(WHOSE)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name for it
        """Tell of a line that could not be made; one that nobody reads any more needs no telling."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller gave as `extra`: task_id, seconds and the like; of a task's line always whose it is."""
    given = {name: value for name, value in vars(record).items() if name not in _USUAL}
    return {name: value for name, value in given.items() if value != "" or name not in _NOBODYS}


def moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class TextLines(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO  penstock.worker ready task_id=…`.

    A traceback follows; each of its lines tells the same, so that whoever looks for a task's id finds all of it.
    """

    def format(self, record: logging.LogRecord) -> str:
        given = "".join(f" {name}={_clean(str(value))}" for name, value in extras(record).items())
        head = f"{moment(record)} {record.levelname:<7} {record.name}"
        lines = [f"{head} {_clean(record.getMessage())}{given}"]
        if record.exc_info:
            story = self.formatException(record.exc_info)
            lines += [f"{head} | {_clean(line)}{given}" for line in story.split("\n") if line.strip()]
        return "\n".join(lines)


class JsonLines(logging.Formatter):
    """One object a line: time, level, logger, event, what was given as `extra`, and the traceback.

    What a task prints as an object of its own is passed on with whose it is, and not wrapped once more.
    """

    def format(self, record: logging.LogRecord) -> str:
        event = {
            "time": moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _bounded(record.getMessage()),
            **{name: _bounded(value) if isinstance(value, str) else value for name, value in extras(record).items()},
        }
        if record.name == OUTPUT and (printed := _object(event["event"])) is not None:
            event = {**extras(record), **printed}
        if record.exc_info:
            event["traceback"] = _bounded(self.formatException(record.exc_info))
        return json.dumps(event, default=str, ensure_ascii=False)


class Signed(logging.Formatter):
    """An application's own formatter of plain text; at the end of a task's line stands whose it is."""

    def __init__(self, inner: logging.Formatter | None) -> None:
        super().__init__()
        self.inner = inner or logging.Formatter()
        self._tells = "task_id" in str(self.inner._fmt)  # noqa: SLF001 - there is no other way to ask

    def format(self, record: logging.LogRecord) -> str:
        text = self.inner.format(record)
        fields = {name: value for name in _NOBODYS if (value := getattr(record, name, ""))}
        if not fields or self._tells or text.startswith("{"):  # it is JSON
            return text
        line, newline, rest = text.partition("\n")
        return f"{line}{''.join(f' {name}={value}' for name, value in fields.items())}{newline}{rest}"


def printed(text: str, fields: Mapping[str, Any]) -> logging.LogRecord:
    """A line of output as a log record."""
    record = logging.LogRecord(OUTPUT, logging.INFO, "", 0, "%s", (text,), None)
    vars(record).update(fields)
    return record


def _object(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _bounded(text: str) -> str:
    """The text, or its beginning and how long it was: what collects log lines has limits, too."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def _clean(text: str) -> str:
    """The text in one line and within bounds, without what would make a terminal do something."""
    text = _bounded(text)
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() or mark == "\t" else repr(mark)[1:-1] for mark in text)
