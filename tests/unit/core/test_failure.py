"""Exceptions as data and back (celery-protocol §5.1)."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from penstock.core.errors import (
    PenstockError,
    RemoteError,
    SoftTimeLimitExceeded,
    TaskError,
    TaskRevokedError,
    TimeLimitExceeded,
    WorkerLostError,
)
from penstock.core.failure import encode_failure, exception_of, failure_of

HERE = __name__


class Simple(Exception):
    pass


class Outer:
    class Inner(Exception):
        pass


class TwoArguments(Exception):
    """Its `args` are not what its constructor takes."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


class NeedsItsFields(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code)
        self.reason = reason

    def __str__(self) -> str:
        return f"because of {self.reason}"


class Explosive:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def there_and_back(error: BaseException) -> BaseException:
    return exception_of(json.loads(encode_failure(error)))


def test_an_exception_travels_as_class_arguments_and_module() -> None:
    assert failure_of(ValueError("boom", 42)) == {
        "exc_type": "ValueError",
        "exc_message": ["boom", 42],
        "exc_module": "builtins",
    }
    assert failure_of(Outer.Inner("x"))["exc_type"] == "Outer.Inner"


@pytest.mark.parametrize("error", [ValueError("boom", 42), Simple("x"), Outer.Inner(), KeyError("k")])
def test_an_importable_class_comes_back_as_itself(error: Exception) -> None:
    back = there_and_back(error)
    assert type(back) is type(error)
    assert back.args == error.args


def test_arguments_that_cannot_travel_come_as_their_repr() -> None:
    found = failure_of(ValueError({1, 2}, object, float("nan"), Explosive(), "\ud800"))["exc_message"]
    assert found == ["{1, 2}", "<class 'object'>", "nan", "<Explosive>", "'\\ud800'"]


def test_a_huge_argument_travels_as_a_preview() -> None:
    [found] = failure_of(ValueError("x" * 10_000_000))["exc_message"]
    assert len(found) == 1024


def test_our_endings_carry_the_names_that_celery_clients_know() -> None:
    assert failure_of(TaskRevokedError("revoked")) == {
        "exc_type": "TaskRevokedError",
        "exc_message": ["revoked"],
        "exc_module": "celery.exceptions",
    }
    assert failure_of(TimeLimitExceeded(1))["exc_module"] == "billiard.exceptions"


@pytest.mark.parametrize("kind", [TaskRevokedError, WorkerLostError, TimeLimitExceeded, SoftTimeLimitExceeded])
def test_celerys_names_for_our_endings_come_back_as_our_classes(kind: type[TaskError]) -> None:
    assert type(there_and_back(kind("x"))) is kind


def test_a_users_subclass_of_an_ending_keeps_its_own_module() -> None:
    class Mine(TaskError):
        pass

    assert failure_of(Mine())["exc_module"] == HERE


def test_an_unknown_class_comes_as_a_stand_in_that_says_which() -> None:
    back = exception_of({"exc_type": "Odd", "exc_message": ["a", 1], "exc_module": "not.loaded"})
    assert isinstance(back, RemoteError)
    assert (back.exc_type, back.exc_module, back.args) == ("Odd", "not.loaded", ("a", 1))
    assert failure_of(back) == {"exc_type": "Odd", "exc_message": ["a", 1], "exc_module": "not.loaded"}


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "int"),
        ("builtins", "SystemExit"),
        ("builtins", "KeyboardInterrupt"),
        ("asyncio", "CancelledError"),
        ("os", "path.join"),
        ("builtins", "ValueError.__init__"),
    ],
)
def test_what_is_no_exception_is_never_called(module: str, name: str) -> None:
    back = exception_of({"exc_type": name, "exc_message": ["echo hacked"], "exc_module": module})
    assert type(back) is RemoteError


def test_no_module_is_imported_for_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    exception_of({"exc_type": "Error", "exc_message": [], "exc_module": "colorsys"})
    assert "colorsys" not in sys.modules


def test_a_class_whose_constructor_takes_something_else_is_still_that_class() -> None:
    back = there_and_back(TwoArguments(404, "gone"))
    assert isinstance(back, TwoArguments)
    assert str(back) == "404: gone"


def test_a_group_of_exceptions_that_cannot_travel_is_stood_in_for() -> None:
    back = there_and_back(ExceptionGroup("several", [ValueError("x")]))
    assert isinstance(back, RemoteError)
    assert str(back) == "ExceptionGroup: ('several', \"[ValueError('x')]\")"


def test_a_class_that_cannot_even_be_printed_is_stood_in_for() -> None:
    assert type(there_and_back(NeedsItsFields(1, "x"))) is RemoteError


@pytest.mark.parametrize("odd", [{}, {"exc_type": None}, {"exc_type": 5, "exc_message": "text", "exc_module": []}])
def test_an_exception_object_of_any_shape_is_read(odd: dict[str, Any]) -> None:
    assert isinstance(exception_of(odd), Exception)


def test_our_own_errors_come_back_too() -> None:
    assert type(there_and_back(PenstockError("x"))) is PenstockError
