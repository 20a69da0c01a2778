"""The tables "then and now" of the examples' READMEs: every row has a check, and every check a row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

#: the words of a row's first column that name its check, and the check
Checks = dict[str, Callable[..., None]]


def table(readme: Path) -> list[tuple[str, str]]:
    """Both columns of each row of the table below "Then and now"."""
    _, _, below = readme.read_text().partition("## Then and now")
    lines = [line for line in below.partition("\n## ")[0].splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines]
    assert cells[0] == ["", "then", "now", ""]
    assert set("".join(cells[1])) == {"-"}
    assert all(len(row) == 4 and row[1] and row[2] for row in cells)
    return [(row[1], row[2]) for row in cells[2:]]


def rows(readme: Path) -> list[str]:
    """The first column of each row."""
    return [then for then, _ in table(readme)]


def check_of(row: str, checks: Iterable[str]) -> str:
    """The one check that is for this row, by the beginning of its words."""
    found = [words for words in checks if row.startswith(words)]
    assert len(found) == 1, f"the row {row!r} has {len(found)} checks"
    return found[0]


def code(text: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", text)


def files(example: Path) -> str:
    """The names and the texts of an example's files, without its README."""
    found = [path for path in sorted(example.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    kept = [path for path in found if path.name != "README.md" and not re.search(r"\.db|\.pyc$", path.name)]
    return "\n".join(f"{path.relative_to(example)}\n{path.read_text()}" for path in kept)
