"""penstock.testing.submitted: looking at what was submitted, and asserting it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from penstock.client.app import Penstock
from penstock.testing import Submissions, drain, eager, memory, submitted


@pytest.fixture
def sent(app: Penstock) -> Iterator[Submissions]:
    @app.task
    def add(x: int, y: int = 1) -> int:
        return x + y

    with memory(app):
        yield submitted(app)


def test_submissions_are_read_oldest_first_with_their_arguments_by_name(app: Penstock, sent: Submissions) -> None:
    assert (len(sent), list(sent)) == (0, [])
    add = app.tasks["add"]
    add.delay(2, 3)
    add.apply_async((4,), queue="slow", priority=6, headers={"trace": "7"}, task_id="own")
    app.send_task("mail", ["a@b.c"], {"subject": "hi"})
    assert [str(each) for each in sent] == ["add(x=2, y=3)", "add(x=4, y=1)", "mail(args[0]='a@b.c', subject='hi')"]
    second = sent.of(add)[1]
    assert (second.task, second.args, second.kwargs, second.arguments) == ("add", [4], {}, {"x": 4, "y": 1})
    assert (second.queue, second.priority, second.headers["trace"], second.task_id) == ("slow", 6, "7", "own")
    assert [each.task for each in sent.of("mail")] == ["mail"]
    assert len(sent[1:]) == 2
    assert repr(sent.of("mail")) == "<Submissions: mail(args[0]='a@b.c', subject='hi')>"
    assert repr(sent.of("none")) == "<Submissions: none>"


def test_an_assertion_names_arguments_by_position_or_name_and_leaves_the_rest_open(
    app: Penstock, sent: Submissions
) -> None:
    app.tasks["add"].delay(2, 3)
    app.tasks["add"].delay(x=2)
    for first in (sent.assert_submitted("add", 2, 3), sent.assert_submitted("add", y=3, x=2)):
        assert first.arguments == {"x": 2, "y": 3}
    assert sent.assert_submitted(app.tasks["add"]).arguments == {"x": 2, "y": 1}, "the last one"
    assert sent.assert_submitted("add", y=1).arguments == {"x": 2, "y": 1}
    sent.assert_not_submitted("add", x=3)
    sent.assert_not_submitted("mail")


def test_a_wrong_assertion_tells_what_there_was(app: Penstock, sent: Submissions) -> None:
    with pytest.raises(AssertionError, match=r"add\(\) was not submitted; submitted were: none"):
        sent.assert_submitted("add")
    app.tasks["add"].delay(1)
    with pytest.raises(AssertionError, match=r"add\(2, y=3\) was not submitted; submitted were: add\(x=1, y=1\)"):
        sent.assert_submitted("add", 2, y=3)
    with pytest.raises(AssertionError, match=r"add\(x=1\) was submitted; submitted were: add\(x=1, y=1\)"):
        sent.assert_not_submitted("add", x=1)
    with pytest.raises(AssertionError, match="was not submitted"):
        sent.assert_submitted("add", z=1)


def test_values_are_compared_as_they_travel(app: Penstock, sent: Submissions) -> None:
    @dataclass
    class Order:
        item: str
        when: datetime

    @app.task
    def buy(order: Order, *more: Order, note: object = object(), **others: int) -> None: ...

    order = Order("cup", datetime(2026, 3, 1, tzinfo=UTC))
    buy.delay(order, order, extra=5)
    sent.assert_submitted("buy", order, order, extra=5)
    sent.assert_submitted("buy", {"item": "cup", "when": order.when})
    sent.assert_not_submitted("buy", Order("can", order.when))
    assert sent[0].arguments["extra"] == 5


def test_what_ran_stays_and_many_are_all_there(app: Penstock, sent: Submissions) -> None:
    for number in range(1100):
        app.tasks["add"].delay(number)
    drain(app)
    assert [each.arguments["x"] for each in sent] == list(range(1100))
    assert sent[5].result.get() == 6


def test_eager_tasks_count_too(app: Penstock) -> None:
    add = app.task(lambda_add)
    with eager(app) as same:
        assert same is app
        assert add.delay(1, 2).get() == 3
        submitted(app).assert_submitted("lambda_add", x=1)
    with eager(app, propagates=True), pytest.raises(TypeError):
        app.send_task("lambda_add", [None, 1])
    assert not app.settings.eager


def lambda_add(x: int, y: int) -> int:
    return x + y
