"""Options of tasks and submissions (DESIGN §2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from penstock.core.errors import ConfigurationError, InvalidOptions
from penstock.core.task import SubmitOptions, TaskOptions

NOW = 1_700_000_000.0
LATER = "comes in a later version of Penstock; leave it out for now"


def declared(**options: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        TaskOptions.of(options, "task add")
    return caught.value.faults


def submitted(**options: Any) -> dict[str, str]:
    with pytest.raises(InvalidOptions) as caught:
        SubmitOptions.of(options, NOW)
    return caught.value.faults


def test_all_faults_of_a_task_are_told_at_once() -> None:
    assert declared(time_limit=0, queue="", max_retrys=3) == (
        "task add: time_limit: expected a number > 0.0",
        "task add: queue: expected text of length >= 1",
        "task add: max_retrys: there is no such option; did you mean max_retries?",
    )


@pytest.mark.parametrize("name", ["rate_limit", "link", "link_error", "chain", "group", "chord"])
def test_options_of_later_versions_say_so(name: str) -> None:
    assert declared(**{name: "10/s"}) == (f"task add: {name}: {LATER}",)
    assert submitted(**{name: [1]}) == {name: LATER}


def test_acks_late_is_always_on_and_says_why_it_cannot_be_off() -> None:
    TaskOptions.of({"acks_late": True})
    assert "acks_late is always on" in declared(acks_late=False)[0]
    assert "acks_late is always on" in submitted(acks_late=False)["acks_late"]


def test_celerys_habits_are_understood() -> None:
    TaskOptions.of(
        {
            "serializer": "json",
            "ignore_result": True,
            "track_started": True,
            "typing": False,
            "reject_on_worker_lost": True,
            "expires": 60,
        }
    )
    SubmitOptions.of(
        {"serializer": "json", "add_to_parent": False, "shadow": "x", "retries": 1, "countdown": None}, NOW
    )


@pytest.mark.parametrize("name", ["serializer", "compression"])
def test_only_plain_json_is_sent(name: str) -> None:
    assert name in submitted(**{name: "pickle"})


def test_the_soft_limit_is_below_the_hard_one() -> None:
    assert "is not less than" in declared(time_limit=5, soft_time_limit=5)[0]
    assert "is not less than" in submitted(time_limit=5, soft_time_limit=6)["soft_time_limit"]


def test_options_of_the_task_are_sent_there() -> None:
    assert submitted(max_retries=3) == {"max_retries": "is an option of the task; give it to @app.task"}


def test_an_unknown_option_names_the_nearest() -> None:
    assert submitted(prioriti=3) == {"prioriti": "there is no such option; did you mean priority?"}
    assert submitted(zzz=3) == {"zzz": "there is no such option"}


@pytest.mark.parametrize(
    ("eta", "seconds"),
    [
        (datetime(2030, 1, 1), 1893456000.0),  # noqa: DTZ001 - a naive one is what is tested
        (datetime(2030, 1, 1, tzinfo=UTC), 1893456000.0),
        (datetime(2030, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 1893456000.0),
        ("2030-01-01T00:00:00Z", 1893456000.0),
    ],
)
def test_times_may_be_aware_or_naive_and_then_are_utc(eta: object, seconds: float) -> None:
    assert SubmitOptions.of({"eta": eta}, NOW).eta == seconds
    assert SubmitOptions.of({"expires": eta}, NOW).expires == seconds


def test_countdown_and_expires_in_seconds_count_from_now() -> None:
    found = SubmitOptions.of({"countdown": 5, "expires": 60}, NOW)
    assert (found.eta, found.expires) == (NOW + 5, NOW + 60)
    assert SubmitOptions.of({"expires": 0.5}, NOW).expires == NOW + 0.5


def test_countdown_and_eta_exclude_one_another() -> None:
    assert submitted(countdown=5, eta="2030-01-01") == {"countdown": "give either countdown or eta"}


@pytest.mark.parametrize(
    "options",
    [
        {"countdown": float("nan")},
        {"countdown": "5"},
        {"expires": float("inf")},
        {"expires": True},
        {"expires": "soon"},
        {"eta": 5},
        {"eta": "2030-13-01"},
        {"eta": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))},
        {"priority": 10},
        {"priority": -1},
        {"priority": True},
        {"task_id": ""},
        {"task_id": "x" * 256},
        {"task_id": "a\nb"},
        {"task_id": "\ud800"},
        {"queue": "a\0b"},
        {"queue": 5},
        {"time_limit": -1},
        {"retries": -1},
        {"headers": {"id": "x"}},
        {"headers": {"penstock_generation": 7}},
        {"headers": {"x": {1}}},
        {"headers": {1: "x"}},
        {"headers": "x"},
        {"routing_key": "x"},
        {"reply_to": 5},
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_the_options_name(options: dict[str, Any]) -> None:
    assert set(submitted(**options)) == set(options)


def test_none_means_not_given() -> None:
    names = "task_id queue priority countdown eta expires time_limit soft_time_limit ignore_result headers shadow"
    assert SubmitOptions.of(dict.fromkeys(names.split()), NOW) == SubmitOptions.of({}, NOW)


@pytest.mark.parametrize("value", [5, "ValueError", [ValueError, 3], int])
def test_exceptions_must_be_exception_classes(value: object) -> None:
    assert declared(autoretry_for=value) == ("task add: autoretry_for: expected exception classes",)
