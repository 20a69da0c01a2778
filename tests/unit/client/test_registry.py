"""Registering tasks: functions, coroutines, classes."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from penstock.client.app import Penstock
from penstock.client.task import Task
from penstock.core.errors import ConfigurationError, DuplicateTask


def test_a_bare_decorator_makes_a_task_of_the_functions_name(app: Penstock) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        """Add up."""
        return x + y

    assert app.tasks == {"add": add}
    assert (add.name, add.__doc__, add.is_async) == ("add", "Add up.", False)


def test_calling_a_task_just_runs_it(app: Penstock) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    assert add(2, 3) == 5
    assert add("a", "b") == "ab"  # type: ignore[arg-type]  # a plain call checks nothing


def test_options_may_be_given_and_the_name_is_one(app: Penstock) -> None:
    @app.task(name="tasks.add", queue="math", time_limit=60)
    def add(x: int, y: int) -> int:
        return x + y

    assert app.tasks == {"tasks.add": add}
    assert (add.options.queue, add.options.time_limit) == ("math", 60.0)


async def test_a_coroutine_function_is_a_task_that_runs_on_a_loop(app: Penstock) -> None:
    @app.task
    async def fetch(url: str) -> str:
        return url

    assert fetch.is_async
    assert await fetch("x") == "x"


def test_a_bound_task_gets_itself_first_and_its_signature_leaves_that_out(app: Penstock) -> None:
    @app.task(bind=True)
    def whoami(self: Task, x: int) -> str:
        return f"{self.name} {x}"

    assert whoami(1) == "whoami 1"
    assert list(whoami.arguments.schema()["properties"]) == ["x"]


def test_any_callable_with_a_name_can_be_a_task(app: Penstock) -> None:
    power = app.task(name="cube")(functools.partial(pow, exp=3))
    assert power(2) == 8


def test_a_class_is_registered_when_it_is_defined(app: Penstock) -> None:
    class PowerTask(app.Task):  # type: ignore[name-defined, misc]
        name = "power"
        max_retries = 2
        queue = "math"

        def run(self, x: int, exponent: int = 2) -> int:
            return int(x**exponent)

    task = app.tasks["power"]
    assert type(task) is PowerTask
    assert task(3) == 9
    assert PowerTask()(2, exponent=3) == 8
    assert (task.options.retry.max_retries, task.options.queue, PowerTask.name) == (2, "math", "power")
    assert list(task.arguments.schema()["properties"]) == ["x", "exponent"]


def test_a_class_without_a_name_has_the_classs_own(app: Penstock) -> None:
    class Resize(app.Task):  # type: ignore[name-defined, misc]
        def run(self) -> None: ...

    assert list(app.tasks) == ["Resize"]


def test_an_abstract_class_hands_its_options_down_and_is_no_task(app: Penstock) -> None:
    class Patient(app.Task):  # type: ignore[name-defined, misc]
        abstract = True
        max_retries = 7

    class Resize(Patient):
        time_limit = 5

        def run(self) -> None: ...

    assert list(app.tasks) == ["Resize"]
    assert (app.tasks["Resize"].options.retry.max_retries, app.tasks["Resize"].options.time_limit) == (7, 5.0)


def test_an_instance_can_be_registered_by_hand_and_is_what_workers_run(app: Penstock) -> None:
    class Scale(Task):
        def __init__(self, factor: int) -> None:
            self.factor = factor

        def run(self, x: int) -> int:
            return x * self.factor

    task = app.register_task(Scale(3))
    assert app.tasks["Scale"] is task
    assert task(2) == 6
    assert app.register_task(Scale(4)) is app.tasks["Scale"]


def test_each_app_has_its_own_instance_of_a_class(make: Callable[..., Penstock]) -> None:
    class Shared(Task):
        def run(self) -> None: ...

    one, two = make(), make()
    assert one.register_task(Shared) is not two.register_task(Shared)
    assert one.tasks["Shared"].app is one
    assert two.tasks["Shared"].app is two


def test_a_task_without_an_app_says_what_is_missing() -> None:
    class Lonely(Task):
        def run(self) -> None: ...

    with pytest.raises(ConfigurationError, match="register it with app"):
        Lonely().delay()


def test_signatures_say_that_they_come_later(app: Penstock) -> None:
    task: Any = app.task(print)
    with pytest.raises(AttributeError, match="si: workflows come in a later version"):
        task.si(1)
    with pytest.raises(AttributeError, match="has no attribute 'sj'"):
        task.sj(1)


def test_a_class_without_run_is_refused(app: Penstock) -> None:
    with pytest.raises(ConfigurationError, match="has no method `run`"):

        class Empty(app.Task):  # type: ignore[name-defined, misc]
            pass


def test_a_second_task_of_a_name_is_refused_naming_both_places(app: Penstock) -> None:
    @app.task(name="add")
    def one() -> None: ...

    with pytest.raises(DuplicateTask) as caught:

        @app.task(name="add")
        def two() -> None: ...

    lines = re.findall(rf"{re.escape(__file__)}:(\d+)", str(caught.value))
    assert int(lines[1]) - int(lines[0]) == 5


def test_the_same_place_again_is_a_reload_and_replaces(app: Penstock) -> None:
    def module() -> None:
        @app.task
        def add() -> None: ...

    module()
    before = app.tasks["add"]
    module()
    assert app.tasks["add"] is not before


@pytest.mark.parametrize("what", [5, "tasks.add", int])
def test_what_is_no_function_is_refused(app: Penstock, what: Any) -> None:
    with pytest.raises(ConfigurationError, match="takes a function"):
        app.task(what)


def test_a_lambda_needs_a_name(app: Penstock) -> None:
    with pytest.raises(ConfigurationError, match="has no name"):
        app.task(lambda: None)
    assert app.task(name="nothing")(lambda: None)() is None


def test_a_generator_is_refused(app: Penstock) -> None:
    with pytest.raises(ConfigurationError, match="return a list"):

        @app.task
        def numbers() -> Iterator[int]:
            yield 1


def test_any_option_of_tasks_can_be_the_apps_default(make: Callable[..., Penstock]) -> None:
    app = make(max_retries=3, time_limit=60, queue="work")

    @app.task(time_limit=5)
    def add() -> None: ...

    assert (add.options.retry.max_retries, add.options.time_limit) == (3, 5.0)
    assert app.settings.default_queue == "work"


def test_the_apps_options_are_checked_all_at_once(make: Callable[..., Penstock]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(backend="x", lese=3)
    assert caught.value.faults == (
        "unknown option 'backend'; did you mean result_backend?",
        "unknown option 'lese'; did you mean lease?",
    )
    with pytest.raises(ConfigurationError, match="the app's default: time_limit: expected a number"):
        make(time_limit=-1)


def test_near_names_are_found(app: Penstock) -> None:
    app.task(name="tasks.resize")(print)
    assert app.near("task.resise") == ["tasks.resize"]
    assert app.near("zzz") == []


def test_hints_are_looked_at_only_when_needed_so_names_may_come_later(app: Penstock) -> None:
    space: dict[str, Any] = {"app": app}
    source = "@app.task\ndef f(x: 'Later') -> None: ...\nclass Later: ...\n"
    exec(compile(source, "later.py", "exec"), space)  # noqa: S102 - a module in which the order of things matters
    assert app.tasks["f"].arguments.schema()["properties"]


def test_a_worker_serves_the_default_queue_and_all_that_are_named(make: Callable[..., Penstock]) -> None:
    app = make(task_routes={"tasks.*": "routed"}, queues=["named"])
    app.task(queue="math")(print)
    assert app.queues == ["default", "math", "named", "routed"]
