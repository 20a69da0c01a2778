"""What commands print: JSON with the HTTP API's field names, or tables for people. Standard output only.

Both come from the same plain objects. What users wrote (task names, arguments, errors) reaches a terminal without its
control characters.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
import msgspec

Row = Mapping[str, Any]
Column = Callable[[Row], object]

as_json = click.option("--json", "as_json", is_flag=True, help="JSON, with the field names of the HTTP API.")

#: The title of a column of sentences: they go on below where they are too long.
DETAIL = "DETAIL"
#: A name is not cut where nobody looks at columns: in a pipe or a file.
_WIDE = 10_000


def plain(value: Any) -> Any:
    """What the HTTP API would send, decoded: times are ISO 8601 texts, spliced JSON is values."""
    return msgspec.json.decode(msgspec.json.encode(value))


def encoded(value: Any) -> str:
    """A value as JSON: indented for a terminal, in one line for a program."""
    raw = msgspec.json.encode(value)
    return (msgspec.json.format(raw, indent=2) if sys.stdout.isatty() else raw).decode()


def write_json(value: Any) -> None:
    """Print a value as JSON."""
    print(encoded(value))


def write_table(rows: Sequence[Row], columns: Mapping[str, Column]) -> None:
    """Print rows under the columns' titles; numbers stand to the right."""
    print(drawn(rows, columns), end="")


def drawn(rows: Sequence[Row], columns: Mapping[str, Column]) -> str:
    """The table as text. On a terminal that is too narrow the last columns are left out; a DETAIL goes on below."""
    from rich.console import Console  # here: --json does without
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
    cells = {title: [column(row) for row in rows] for title, column in columns.items()}
    texts = {title: [printable(cell).replace("\n", "\\n") for cell in column] for title, column in cells.items()}
    table = Table(box=None, pad_edge=False, header_style="bold")
    titles = fitting({title: max(map(len, [title, *column])) for title, column in texts.items()}, console.width)
    for title in titles:
        right = bool(rows) and all(isinstance(cell, int | float) for cell in cells[title])
        table.add_column(title, justify="right" if right else "left", no_wrap=title != DETAIL, overflow="fold")
    for index in range(len(rows)):
        table.add_row(*(Text(texts[title][index]) for title in titles))
    with console.capture() as captured:
        console.print(table)
    return "".join(line.rstrip() + "\n" for line in captured.get().splitlines())


def fitting(widths: Mapping[str, int], width: int) -> list[str]:
    """The titles of the columns that fit beside one another; the first always does."""
    titles = list(widths)
    while len(titles) > 1 and sum(widths[title] + 2 for title in titles) - 2 > width and titles[-1] != DETAIL:
        titles.pop()
    return titles


def write_fields(fields: Mapping[str, object]) -> None:
    """Print names and values below one another; what is None or empty is left out."""
    shown = {name: value for name, value in fields.items() if value not in (None, "", [], {})}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        lines = printable(value).split("\n")
        print(f"{name:<{width}}  {lines[0]}")
        for line in lines[1:]:
            print(" " * width, "", line)


def printable(value: object) -> str:
    """A text for a terminal: JSON for containers, "" for None, control characters escaped."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() or mark == "\n" else repr(mark)[1:-1] for mark in text)


def reason(error: object) -> str:
    """An exception as it is kept in a record (its message is the list of its arguments): `ValueError: no such shop`."""
    if not isinstance(error, dict):
        return printable(error)
    message = error.get("exc_message")
    arguments = message if isinstance(message, list) else [message]
    return f"{printable(error.get('exc_type'))}: {', '.join(map(printable, arguments))}"


def ago(moment: str | None) -> str:
    """An ISO 8601 time as its distance from now: `12 s ago`, `in 3 m`."""
    if moment is None:
        return ""
    seconds = time.time() - datetime.fromisoformat(moment).timestamp()
    return f"{span(seconds)} ago" if seconds >= 0 else f"in {span(-seconds)}"


def span(seconds: float | None) -> str:
    """A length of time in its largest sensible unit: `0.25 s`, `12 s`, `3 m`, `5 h`, `2 d`."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.2g} s"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
