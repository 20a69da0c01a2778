"""The documentation says all that can be set and called, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

from penstock.cli.program import COMMANDS, program
from penstock.core.settings import PREFIX, Settings

DOCS = Path(__file__).parents[2] / "docs"
#: Read by the command line alone.
OF_COMMANDS = {"PENSTOCK_APP", "PENSTOCK_DEBUG"}


def variables() -> dict[str, str]:
    """Variable → the default in its row of the tables."""
    rows = re.findall(r"^\| `(PENSTOCK_\w+)` \| ([^|]*) \|", (DOCS / "configuration.md").read_text(), re.MULTILINE)
    return {name: default.strip("` ") for name, default in rows}


def test_every_setting_and_no_other_is_documented() -> None:
    assert variables().keys() - OF_COMMANDS == {PREFIX + each.name.upper() for each in fields(Settings)}


def test_the_documented_defaults_are_the_real_ones() -> None:
    documented = variables()
    for each in fields(Settings):
        told, default = documented[PREFIX + each.name.upper()], each.default
        if default in ("", ()):
            assert told in {"none", "the same place"}, each.name
        elif isinstance(default, bool):
            assert told == ("yes" if default else "no"), each.name
        else:
            assert told == (f"{default:.0f}" if isinstance(default, float) else str(default)), each.name


def options() -> Iterator[tuple[str, str]]:
    """Every option that a user may give, with the words of its command."""
    with program.make_context("penstock", ["--help"], resilient_parsing=True) as context:
        for name in COMMANDS:
            command = program.get_command(context, name)
            assert command is not None
            parts = command.commands.items() if isinstance(command, click.Group) else [("", command)]
            for part, each in parts:
                for parameter in each.params:
                    if isinstance(parameter, click.Option) and not parameter.hidden:
                        yield f"{name} {part}".strip(), max(parameter.opts, key=len)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    assert f"## penstock {name}" in (DOCS / "cli.md").read_text()


def test_every_option_is_documented_below_its_command() -> None:
    sections = {part.split()[0]: part for part in (DOCS / "cli.md").read_text().split("\n## penstock ")[1:]}
    common = (DOCS / "cli.md").read_text().partition("\n## penstock ")[0]
    missing = [
        f"{words} {option}"
        for words, option in options()
        if f"`{option}" not in sections[words.split()[0]] and f"`{option}" not in common
    ]
    assert missing == []
