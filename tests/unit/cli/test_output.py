from __future__ import annotations

import io
import sys

import pytest

from penstock.cli.output import drawn, fitting, printable, span, write_fields, write_json


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.0123, "0.012 s"),
        (9, "9 s"),
        (59.6, "60 s"),
        (119, "119 s"),
        (180, "3 m"),
        (9000, "2 h"),
        (180000, "2 d"),
    ],
)
def test_a_span_is_told_in_its_largest_sensible_unit(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


def test_control_characters_are_shown_not_sent() -> None:
    assert printable("a\x1b[31mb\u202ec\nd") == "a\\x1b[31mb\\u202ec\nd"


@pytest.mark.parametrize(("value", "text"), [(None, ""), (True, "yes"), (3, "3"), ({"a": [1]}, '{"a":[1]}')])
def test_values_are_printed_as_json_where_they_are_no_texts(value: object, text: str) -> None:
    assert printable(value) == text


def test_a_table_is_not_cut_where_nobody_looks_at_columns() -> None:
    name = "n" * 300
    lines = drawn([{"name": name, "size": 7}], {"NAME": lambda row: row["name"], "SIZE": lambda row: row["size"]})
    assert lines == f"NAME{' ' * 298}SIZE\n{name}     7\n"


@pytest.mark.parametrize(
    ("width", "titles"), [(30, ["ID", "TASK", "WORKER"]), (29, ["ID", "TASK"]), (16, ["ID", "TASK"]), (3, ["ID"])]
)
def test_the_last_columns_are_left_out_where_there_is_no_room(width: int, titles: list[str]) -> None:
    assert fitting({"ID": 10, "TASK": 4, "WORKER": 12}, width) == titles


def test_sentences_are_never_left_out() -> None:
    assert fitting({"CHECK": 10, "DETAIL": 300}, 80) == ["CHECK", "DETAIL"]


def test_a_cell_never_breaks_the_table() -> None:
    assert drawn([{"name": "a\nb"}], {"NAME": lambda row: row["name"]}).count("\n") == 2


def test_rich_markup_in_users_texts_is_only_text() -> None:
    assert "[bold]x[/bold]" in drawn([{"name": "[bold]x[/bold]"}], {"NAME": lambda row: row["name"]})


def test_fields_without_value_are_left_out_and_long_ones_stay_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    write_fields({"id": "7", "result": None, "traceback": "one\ntwo"})
    assert capsys.readouterr().out == "id         7\ntraceback  one\n           two\n"


def test_json_is_one_line_for_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    write_json({"a": [1, 2]})
    assert out.getvalue() == '{"a":[1,2]}\n'
