"""The shelf of a consumer on RabbitMQ: levels, turns, limits, and what lies there for too long."""

from __future__ import annotations

import pytest

from penstock.brokers.rabbitmq.shelf import Shelf, Source
from penstock.core.message import Delivery, Message

LOW, OTHER = (Source(name, name, 0, quorum=False) for name in "ab")
HIGH = Source("a.penstock.9", "a", 9, quorum=False)
MIB = 1024 * 1024


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def put(shelf: Shelf, source: Source, *names: str, size: int = 1) -> None:
    for name in names:
        shelf.put(source, Delivery(Message(bytes(size), {"id": name}), None))


def take(shelf: Shelf, limit: int = 100, turn: int = 0) -> str:
    return " ".join(each.message.task_id for each in shelf.take(limit, turn))


def test_a_higher_level_goes_first_and_a_source_keeps_its_order(shelf: Shelf) -> None:
    put(shelf, LOW, "1", "2", "3")
    put(shelf, HIGH, "8", "9")
    assert take(shelf, 3) == "8 9 1"
    assert (len(shelf), shelf.waiting(LOW), shelf.waiting(HIGH)) == (2, 2, 0)
    assert take(shelf) == "2 3"
    assert (len(shelf), shelf.size) == (0, 0)


def test_sources_of_one_level_take_turns(shelf: Shelf) -> None:
    put(shelf, LOW, "1", "2", "3", "4")
    put(shelf, OTHER, "5", "6")
    assert take(shelf, 3) == "1 5 2"
    assert take(shelf, 3, turn=1) == "6 3 4"


def test_a_batch_holds_four_mebibytes_and_a_larger_message_is_alone(shelf: Shelf) -> None:
    put(shelf, LOW, "1", "2", "3", "4", "5", size=MIB)
    put(shelf, LOW, "large", size=5 * MIB)
    put(shelf, LOW, "6")
    assert [take(shelf) for _ in range(4)] == ["1 2 3 4", "5", "large", "6"]
    assert shelf.size == 0


def test_what_was_there_at_the_last_look_and_of_whose_source_nothing_was_taken_is_stale(shelf: Shelf) -> None:
    put(shelf, LOW, "1", "2", "3")
    assert not shelf.stale()
    take(shelf, 1)
    assert not shelf.stale()
    put(shelf, HIGH, "7", "8", "9")
    take(shelf, 1)  # of the other source
    assert shelf.stale()
    assert {each.message.task_id for each in shelf.clear()} == {"2", "3", "8", "9"}
    assert not shelf.stale()
    assert (len(shelf), shelf.size, take(shelf)) == (0, 0, "")
