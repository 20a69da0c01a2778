"""Short texts of any value."""

from __future__ import annotations

import pytest

from penstock.core.preview import preview


@pytest.mark.parametrize(
    "value", [(), (1,), (2, 3), [], [1, [2]], {}, {"a": (1, None)}, "x", b"y", 1.5, None, True, {1}, ((((1,),),),)]
)
def test_a_small_value_is_shown_as_python_would(value: object) -> None:
    assert preview(value) == repr(value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ((1, 10**5000), "(1, <int>)"),
        (("x" * 30, 1), "('" + "x" * 15 + "..."),
        (tuple(range(40)), "(0, 1, 2, 3, 4, 5..."),
        (("ab\ud800", None), "('ab\\ud800', None)"),
    ],
    ids=["digits", "text", "many", "surrogate"],
)
def test_arguments_are_shown_in_one_way_however_few_they_are(value: object, shown: str) -> None:
    assert preview(value, 20) == shown


def test_a_large_value_is_cut_and_says_so() -> None:
    assert preview("x" * 100, 20) == "'" + "x" * 16 + "..."
    assert preview(list(range(100)), 10) == "[0, 1, ..."


class Counted(list[int]):
    looked = 0

    def __repr__(self) -> str:
        Counted.looked += 1
        return "c"


def test_a_huge_value_costs_no_more_than_what_is_shown() -> None:
    preview([Counted()] * 1_000_000, 100)
    assert Counted.looked <= 100


def test_depth_is_bounded_so_that_a_value_may_hold_itself() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert preview(loop) == "[[[[[[[[…]]]]]]]]"


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError


class Surrogate:
    def __repr__(self) -> str:
        return "\ud800"


def test_a_users_repr_may_raise_or_return_what_cannot_be_stored() -> None:
    assert preview([Broken()]) == "[<Broken>]"
    assert preview(Surrogate()) == "\\ud800"
    assert preview(10**5000) == "<int>"
