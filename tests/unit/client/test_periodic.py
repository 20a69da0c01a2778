"""@app.periodic: what it declares, and what it refuses at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock.client.app import Penstock
from penstock.client.task import FunctionTask, Task
from penstock.core.errors import ConfigurationError, DuplicateTask, InvalidArguments
from penstock.core.schedule import Schedule
from penstock.results.memory import open_results


def add(x: int, y: int = 1) -> int:
    return x + y


def faults_of(app: Penstock, function: Callable[..., Any], *when: Any, **given: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        app.periodic(*when, **given)(function)
    return list(caught.value.faults)


def test_a_plain_function_becomes_a_task_with_a_schedule_of_its_name(app: Penstock) -> None:
    made = app.periodic("*/5 * * * *", args=(2,), kwargs={"y": 3})(add)
    assert isinstance(made, FunctionTask)
    assert app.tasks["add"] is made
    assert made(1, 1) == 2
    assert app.schedules == {
        "add": Schedule(name="add", task="add", cron="*/5 * * * *", args=(2,), kwargs={"y": 3}),
    }


def test_over_a_task_it_leaves_the_task_as_it_is(app: Penstock) -> None:
    task = app.task(name="sum", queue="slow")(add)
    assert app.periodic(every=5, args=[1])(task) is task
    assert app.schedules["sum"].task == "sum"
    assert task.options.queue == "slow"


def test_a_schedule_knows_what_its_task_says_of_submissions(app: Penstock) -> None:
    task = app.task(name="sum", queue="slow", priority=3, expires=60)(add)
    app.periodic(every=5, args=[1], priority=9)(task)
    assert app.schedules["sum"].options == {"queue": "slow", "priority": 9, "expires": 60.0}


def test_an_interval_is_seconds_or_a_timedelta(app: Penstock) -> None:
    app.periodic(every=0.5, name="often", args=(1,))(add)
    app.periodic(every=timedelta(minutes=2), name="seldom", args=(1,))(app.tasks["add"])
    assert (app.schedules["often"].every, app.schedules["seldom"].every) == (0.5, 120.0)


def test_schedules_can_be_stacked(app: Penstock) -> None:
    @app.periodic("0 8 * * *", timezone="Europe/Zurich", missed="skip")
    @app.periodic("0 20 * * 1-5", args=(7,), name="evening")
    @app.periodic(every=60, args=(1, 2), queue="slow", priority=3, expires=30)
    @app.task
    def report(depth: int = 1, width: int = 1) -> None: ...

    assert app.schedules == {
        "report": Schedule(
            name="report", task="report", every=60, args=(1, 2), options={"queue": "slow", "priority": 3, "expires": 30}
        ),
        "evening": Schedule(name="evening", task="report", cron="0 20 * * 1-5", args=(7,)),
        "report-2": Schedule(
            name="report-2", task="report", cron="0 8 * * *", timezone="Europe/Zurich", missed="skip"
        ),
    }  # fmt: skip


def test_a_class_task_and_a_bound_one_can_have_schedules(app: Penstock) -> None:
    @app.periodic(every=5, args=(3,))
    class Clean(app.Task):  # type: ignore[name-defined,misc]
        def run(self, depth: int) -> None: ...

    @app.periodic(every=5, args=(3,))
    class Later(Task):
        def run(self, depth: int) -> None: ...

    @app.periodic(every=5, kwargs={"x": 1})
    @app.task(bind=True)
    def bound(self: Task, x: int) -> None: ...

    assert {each.task for each in app.schedules.values()} == {"Clean", "Later", "bound"} == set(app.tasks)


def test_arguments_are_kept_as_they_come_back_from_where_schedules_are_kept(app: Penstock) -> None:
    @dataclass
    class Order:
        item: str
        count: int = 1

    moment = datetime(2026, 3, 1, tzinfo=UTC)

    @app.periodic(every=5, args=(Order("cup"), moment))
    def buy(order: Order, when: datetime) -> None: ...

    schedule = app.schedules["buy"]
    assert schedule.args == ({"item": "cup", "count": 1}, moment)
    results = open_results("memory://kept", settings=None, driver=None, blocking=False)

    async def kept() -> list[Schedule]:
        await results.schedules.sync("shop", [schedule])
        return [entry.schedule for entry in await results.schedules.all()]

    assert asyncio.run(kept()) == [schedule]


def test_a_hint_may_name_what_is_defined_further_down(app: Penstock) -> None:
    source = """

@app.periodic(every=5)
def late(things: "Things" = ()): ...

Things = list[int]
"""
    exec(source, {"app": app})  # noqa: S102 - a module, whose names come to be one after the other
    with pytest.raises(InvalidArguments, match="things"):
        app.tasks["late"].arguments.check([5], {})


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, "schedule 'add': argument x: missing"),
        ({"args": ["one"]}, "schedule 'add': argument x: expected int, got str"),
        ({"args": [1, 2, 3]}, "schedule 'add': argument args[2]: surplus: the task takes 2 by position"),
        ({"kwargs": {"x": 1, "z": 2}}, "schedule 'add': argument z: no such parameter"),
        ({"args": 5}, "schedule 'add': args: expected a list or tuple, and for kwargs a dict"),
        ({"args": [1], "timezone": "Mars/Olympus"}, "schedule 'add': unknown time zone 'Mars/Olympus'"),
        ({"args": [1], "missed": "twice"}, "missed='twice': must be one of"),
        ({"args": [1], "timezone": 5}, "schedule 'add': timezone=5: expected text, got a whole number"),
        ({"args": [1], "name": "a\nb"}, "text without control characters"),
        ({"args": [1], "queu": "slow"}, "schedule 'add': queu: there is no such option; did you mean queue?"),
        ({"args": [1], "priority": 10}, "schedule 'add': priority: expected a whole number <= 9"),
        ({"args": [1], "task_id": "mine"}, "schedule 'add': task_id: belongs to one submission"),
        ({"args": [1], "countdown": 5}, "schedule 'add': countdown: belongs to one submission"),
        (
            {"args": [1], "max_retries": 5},
            "schedule 'add': max_retries: is an option of the task; give it to @app.task",
        ),
    ],
)
def test_what_is_wrong_is_told_when_it_is_declared(app: Penstock, given: dict[str, Any], fault: str) -> None:
    found = faults_of(app, add, "* * * * *", **given)
    assert len(found) == 1
    assert fault in found[0]
    assert app.schedules == {}


@pytest.mark.parametrize(
    ("when", "given", "fault"),
    [
        (("61 * * * *",), {}, "schedule 'add': cron expression '61 * * * *': Bad minute"),
        (("* * * * *",), {"every": 5}, "schedule 'add': give either a cron expression or every=SECONDS"),
        ((), {}, "schedule 'add': give either a cron expression or every=SECONDS"),
        ((), {"every": 0}, "schedule 'add': every=0: expected seconds or a timedelta, more than nothing"),
        ((), {"every": "5"}, "schedule 'add': every='5': expected seconds or a timedelta, more than nothing"),
        ((), {"every": True}, "schedule 'add': every=True: expected seconds or a timedelta, more than nothing"),
        ((), {"every": -5}, "schedule 'add': every=-5.0: must be between 0.1 seconds and a hundred years"),
        ((5,), {}, "schedule 'add': cron=5: expected text, got a whole number"),
    ],
)
def test_a_time_that_cannot_be_is_refused(app: Penstock, when: tuple[Any, ...], given: Any, fault: str) -> None:
    found = faults_of(app, add, *when, args=[1], **given)
    assert fault in found[0]


def test_all_faults_are_told_at_once(app: Penstock) -> None:
    found = faults_of(app, add, "61 * * * *", timezone="Mars/Olympus", missed="twice", args=["one"], priority=99)
    assert len(found) == 5


def test_what_cannot_travel_is_refused(app: Penstock) -> None:
    def anything(value: Any) -> None: ...

    assert faults_of(app, anything, every=5, args=[{1, 2}]) == [
        "schedule 'anything': args[0]: a set is not JSON; give a list"
    ]
    app.task(name="unchecked", typing=False)(add)
    found = faults_of(app, app.tasks["unchecked"], every=5, args=[float("nan")])
    assert found == ["schedule 'unchecked': args[0]: NaN is not JSON"]


def test_two_schedules_of_one_name_are_refused(app: Penstock) -> None:
    app.periodic(every=5, name="tick", args=(1,))(add)
    found = faults_of(app, app.tasks["add"], every=6, name="tick", args=(1,))
    assert found == ["schedule 'tick': there is another one of this name; give one of them a name=…"]
    assert app.schedules["tick"].every == 5


def test_it_needs_to_be_called_and_to_stand_above_the_task(app: Penstock) -> None:
    with pytest.raises(ConfigurationError, match="needs to know when"):
        app.periodic(add)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"@app\.task takes a function"):
        app.task(app.periodic(every=5, args=(1,))(add))


def test_a_task_of_another_app_is_refused(app: Penstock) -> None:
    other = Penstock("other", broker="memory://other").task(add)
    with pytest.raises(ConfigurationError, match="task add is not one of this app"):
        app.periodic(every=5, args=(1,))(other)


def test_a_function_that_cannot_be_a_task_is_refused_as_by_task(app: Penstock) -> None:
    app.task(add)

    def clash() -> None: ...

    clash.__name__ = "add"
    with pytest.raises(DuplicateTask):
        app.periodic(every=5)(clash)


def declare(app: Penstock) -> None:
    """What the import of a module does."""

    @app.periodic(every=5)
    @app.periodic("0 8 * * *")
    @app.task
    def tick() -> None: ...


def test_a_module_that_is_loaded_again_declares_its_schedules_anew(app: Penstock) -> None:
    declare(app)
    once = dict(app.schedules)
    assert list(once) == ["tick", "tick-2"]
    declare(app)
    assert app.schedules == once
