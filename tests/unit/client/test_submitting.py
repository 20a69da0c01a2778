"""From a call to a message and a record."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from penstock.client.app import Penstock
from penstock.client.context import Running, running
from penstock.client.task import Task
from penstock.core.errors import (
    ConfigurationError,
    EncodingError,
    InvalidArguments,
    InvalidOptions,
    MessageTooLarge,
    SubmitError,
    TaskIdTaken,
    UnknownTask,
)
from penstock.core.message import Message
from penstock.core.record import Record
from penstock.core.request import Request
from penstock.core.times import iso, parse


@pytest.fixture
def add(app: Penstock) -> Task:
    @app.task
    def add(x: int, y: int = 1) -> int:
        return x + y

    return add


def record(app: Penstock, task_id: str) -> Record:
    async def look(submitter: Any) -> Record:
        found = await submitter.backends.results.records.get([task_id])
        return found[task_id]  # type: ignore[no-any-return]

    return app.portal.call(look)


def waiting(app: Penstock) -> int:
    async def look(submitter: Any) -> int:
        return sum(queue.ready + (queue.delayed or 0) for queue in await submitter.backends.broker.depth())

    return app.portal.call(look)


def message(app: Penstock, task_id: str) -> Message:
    return record(app, task_id).message


def test_delay_writes_a_record_and_queues_a_message(app: Penstock, add: Task) -> None:
    found = record(app, add.delay(2, y=3).id)
    assert (found.task, found.state, found.queue, found.created_at) == ("add", "PENDING", "default", app.clock())
    assert (found.confirmed, found.retries, found.generation) == (True, 0, 0)
    assert json.loads(found.message.body)[:2] == [[2], {"y": 3}]
    assert waiting(app) == 1


def test_a_record_is_as_old_as_it_is_shown_to_be(app: Penstock, add: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "clock", lambda: 1_700_000_000.1234567)
    created = app.prepare(add.name, (1,)).record.created_at
    assert parse(iso(created)) == created


async def test_the_a_twins_do_the_same(app: Penstock, add: Task) -> None:
    one = await add.adelay(2, 3)
    two = await add.aapply_async((2, 3), task_id="mine")
    three = await app.asend_task("elsewhere.add", (1,))
    assert (await one.astatus(), await two.astatus(), two.id) == ("PENDING", "PENDING", "mine")
    assert waiting(app) == 3
    assert three.id


def test_options_reach_the_message(app: Penstock, add: Task) -> None:
    found = message(
        app,
        add.apply_async(
            (1,),
            {"y": 2},
            task_id="mine",
            queue="math",
            priority=6,
            countdown=10,
            expires=60,
            time_limit=5,
            soft_time_limit=4,
            ignore_result=True,
            headers={"x-tenant": "blue"},
            shadow="Adding",
            retries=1,
            reply_to="answers",
        ).id,
    )
    assert (found.task_id, found.queue, found.priority, found.due) == ("mine", "math", 6, app.clock() + 10)
    assert found.headers["timelimit"] == [5.0, 4.0]
    assert found.headers["expires"] == datetime.fromtimestamp(app.clock() + 60, UTC).isoformat()
    assert (found.headers["ignore_result"], found.headers["x-tenant"]) == (True, "blue")
    assert (found.headers["shadow"], found.headers["retries"]) == ("Adding", 1)
    assert found.properties["reply_to"] == "answers"


def test_a_tasks_own_queue_priority_expiry_and_name_to_show_are_used(app: Penstock) -> None:
    @app.task(queue="math", priority=3, expires=60, shadow="Adding")
    def add() -> None: ...

    found = message(app, add.delay().id)
    assert (found.queue, found.priority, found.headers["shadow"]) == ("math", 3, "Adding")
    assert found.headers["expires"] is not None
    other = message(app, add.apply_async(queue="x", priority=0, shadow="Sum").id)
    assert (other.queue, other.priority, other.headers["shadow"]) == ("x", 0, "Sum")


def refused(app: Penstock, kind: type[SubmitError], call: Callable[[], object]) -> Any:
    """Nothing is queued and no record is left."""
    with pytest.raises(kind) as caught:
        call()
    assert waiting(app) == 0
    return caught.value


@pytest.mark.parametrize(("args", "field"), [((), "x"), ((1, 2, 3), "args[2]"), (("1",), "x"), ((True,), "x")])
def test_arguments_that_do_not_fit_are_refused(app: Penstock, add: Task, args: tuple[Any, ...], field: str) -> None:
    assert field in refused(app, InvalidArguments, lambda: add.delay(*args)).faults


def test_arguments_must_come_as_a_list_and_a_dict(app: Penstock, add: Task) -> None:
    refused(app, InvalidArguments, lambda: add.apply_async("ab"))
    refused(app, InvalidArguments, lambda: add.apply_async((1,), [("y", 2)]))  # type: ignore[arg-type]


def test_typing_off_leaves_arguments_unchecked(app: Penstock) -> None:
    @app.task(typing=False)
    def add(x: int) -> int:
        return x

    assert json.loads(message(app, add.apply_async(("1", 2)).id).body)[0] == ["1", 2]


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, "\ud800", object()])
def test_values_that_cannot_travel_are_refused(app: Penstock, value: object) -> None:
    @app.task
    def take(x: Any) -> None: ...

    refused(app, SubmitError, lambda: take.delay(value))
    refused(app, EncodingError, lambda: app.send_task("elsewhere", [value]))


def test_a_body_over_the_limit_is_refused(make: Callable[..., Penstock]) -> None:
    app = make(max_body=100)

    @app.task
    def take(x: str) -> None: ...

    error = refused(app, MessageTooLarge, lambda: take.delay("x" * 200))
    assert (error.size > 200, error.limit) == (True, 100)


def test_bad_options_are_refused(app: Penstock, add: Task) -> None:
    error = refused(app, InvalidOptions, lambda: add.apply_async((1,), prioriti=1, countdown="soon"))
    assert set(error.faults) == {"prioriti", "countdown"}


def test_a_taken_id_is_refused_and_the_first_task_stays(app: Penstock, add: Task) -> None:
    add.apply_async((1,), task_id="mine")
    with pytest.raises(TaskIdTaken, match="mine"):
        add.apply_async((2,), task_id="mine")
    assert waiting(app) == 1
    assert json.loads(message(app, "mine").body)[0] == [1]


def test_send_task_checks_neither_name_nor_arguments(app: Penstock, add: Task) -> None:
    assert message(app, app.send_task("elsewhere.add", ("x",)).id).headers["task"] == "elsewhere.add"
    assert json.loads(message(app, app.send_task("add", ("x", None)).id).body)[0] == ["x", None]
    assert add.name == "add"


def test_prepare_knows_its_tasks_and_offers_near_names(app: Penstock, add: Task) -> None:
    with pytest.raises(UnknownTask, match="did you mean add"):
        app.prepare("ad")
    assert app.prepare("ad", check=False).record.task == "ad"
    assert app.prepare(add.name, (1,)).message.queue == "default"
    assert waiting(app) == 0


def test_what_is_submitted_inside_a_task_is_its_child(app: Penstock, add: Task) -> None:
    request = Request(id="me", task="outer", args=[], kwargs={}, embed={}, headers={}, root_id="root")
    inside = Running(request, app, lambda _: None)
    token = running.set(inside)
    try:
        child = add.delay(1)
        unrelated = add.apply_async((1,), add_to_parent=False, root_id="r", parent_id="p")
    finally:
        running.reset(token)
    assert inside.children == [child.id]
    assert message(app, child.id).headers | {"root_id": "root", "parent_id": "me"} == message(app, child.id).headers
    assert message(app, unrelated.id).headers["parent_id"] == "p"


def test_a_refused_child_is_no_child(app: Penstock, add: Task) -> None:
    inside = Running(Request(id="me", task="outer", args=[], kwargs={}, embed={}, headers={}), app, lambda _: None)
    token = running.set(inside)
    try:
        with pytest.raises(InvalidArguments):
            add.delay("x")
    finally:
        running.reset(token)
    assert inside.children == []


# --------------------------------------------------------------------------------------------------------------- routes


def queue_of(app: Penstock, name: str, **options: Any) -> str:
    return app.prepare(name, (), {}, options, check=False).message.queue


def test_routes_go_by_name_then_by_glob(make: Callable[..., Penstock]) -> None:
    app = make(task_routes={"mail.*": "mail", "mail.urgent": {"queue": "fast", "priority": 9}, "*.slow": "slow"})
    assert [queue_of(app, name) for name in ("mail.send", "mail.urgent", "x.slow", "x")] == [
        "mail",
        "fast",
        "slow",
        "default",
    ]
    assert app.prepare("mail.urgent", check=False).message.priority == 9


def test_a_submissions_queue_wins_over_the_tasks_and_that_over_the_routes(make: Callable[..., Penstock]) -> None:
    app = make(task_routes={"*": {"queue": "routed", "priority": 3}})
    app.task(queue="own", name="add")(print)
    assert queue_of(app, "add", queue="said") == "said"
    assert queue_of(app, "add") == "own"
    assert queue_of(app, "other") == "routed"
    assert app.prepare("add", check=False).message.priority == 3
    assert app.prepare("add", options={"priority": 6}, check=False).message.priority == 6


def test_a_function_may_route_and_pass_on_to_the_next(make: Callable[..., Penstock]) -> None:
    def by_size(_name: str, _args: Any, kwargs: Any, options: Any) -> str | None:
        return "big" if kwargs.get("size", 0) > 10 and not options.get("countdown") else None

    app = make(task_routes=[by_size, {"resize": "small"}])
    assert app.prepare("resize", (), {"size": 11}, check=False).message.queue == "big"
    assert app.prepare("resize", (), {"size": 1}, check=False).message.queue == "small"
    assert app.prepare("resize", (), {"size": 11}, {"countdown": 1}, check=False).message.queue == "small"


def test_what_a_function_answers_is_checked_when_it_answers(make: Callable[..., Penstock]) -> None:
    app = make(task_routes=lambda *_: {"queue": ""})
    with pytest.raises(InvalidOptions, match="queue"):
        app.prepare("add", check=False)


def test_a_named_queue_has_options_for_all_that_goes_there(make: Callable[..., Penstock]) -> None:
    app = make(queues={"mail": {"priority": 6, "expires": 60}})
    found = app.prepare("send", options={"queue": "mail"}, check=False).message
    assert (found.priority, found.headers["expires"] is not None) == (6, True)
    assert app.prepare("send", options={"queue": "mail", "priority": 0}, check=False).message.priority == 0


def test_faults_of_routes_and_queues_are_told_when_the_app_is_made(make: Callable[..., Penstock]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(task_routes=[{"a": {"queu": "x"}, "b": {"task_id": "x"}, "c": 5}, 7], queues={"q": {"priority": 11}})
    assert caught.value.faults == (
        "task_routes['a']: queu: there is no such option; did you mean queue?",
        "task_routes['b']: task_id: belongs to one submission",
        "task_routes['c']: expected the name of a queue or a dict of options",
        "task_routes: expected a dict or a function, got int",
        "queues['q']: priority: expected a whole number <= 9",
    )
