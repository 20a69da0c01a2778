"""Talk between the processes of a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from penstock.worker.links import Link, pair


@pytest.fixture
def ends() -> Iterator[tuple[Link, Link]]:
    here, there = pair()
    yield here, there
    here.close()
    there.close()


def test_notes_arrive_whole_and_in_order(ends: tuple[Link, Link]) -> None:
    here, there = ends
    here.send({"first": 1})
    here.send({"second": ["two\nlines", None]})
    assert there.receive() == [{"first": 1}, {"second": ["two\nlines", None]}]
    assert there.receive() == []
    assert not there.ended


def test_what_the_other_side_does_not_read_is_kept_and_sent_later(ends: tuple[Link, Link]) -> None:
    here, there = ends
    notes = [{"number": number, "padding": "x" * 10_000} for number in range(200)]
    for note in notes:
        here.send(note)
    found = []
    rounds = 0
    while here.unsent:
        found += there.receive()
        here.flush()
        rounds += 1
    assert rounds > 0
    assert found + there.receive() == notes


def test_the_end_of_a_process_ends_its_link_after_its_last_words(ends: tuple[Link, Link]) -> None:
    here, there = ends
    here.send({"bye": True})
    here.close()
    assert there.receive() == [{"bye": True}]
    assert there.ended


def test_sending_to_nobody_is_harmless(ends: tuple[Link, Link]) -> None:
    here, there = ends
    there.close()
    here.send({"hello": 1})
    here.send({"hello": 2})
    here.receive()
    assert here.ended
