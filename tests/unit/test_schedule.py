"""core.schedule: due times, missed runs, one id per due time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from penstock.core.errors import ConfigurationError
from penstock.core.schedule import Schedule


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def schedule(**options: Any) -> Schedule:
    return Schedule(name="nightly", task="report", **options)


def test_a_cron_schedule_is_due_at_the_next_match() -> None:
    every_five = schedule(cron="*/5 * * * *")
    assert every_five.first_due(at("2026-03-01T10:02:30")) == at("2026-03-01T10:05:00")
    assert every_five.next_due(at("2026-03-01T10:05:00"), at("2026-03-01T10:05:01")) == at("2026-03-01T10:10:00")


def test_a_cron_schedule_follows_its_time_zone_across_the_clock_change() -> None:
    morning = schedule(cron="30 7 * * *", timezone="Europe/Berlin")
    assert morning.first_due(at("2026-03-28T08:00:00")) == at("2026-03-29T05:30:00")  # summer time began that night
    assert morning.first_due(at("2026-10-24T08:00:00")) == at("2026-10-25T06:30:00")  # and ended on this one


def test_an_hour_that_happens_twice_fires_once() -> None:
    night = schedule(cron="30 2 * * *", timezone="Europe/Berlin")
    first = night.first_due(at("2026-10-24T22:00:00"))
    second = night.next_due(first, first)
    assert second - first > 23 * 3600


def test_an_interval_keeps_its_rhythm_and_does_not_drift() -> None:
    every = schedule(every=5)
    assert every.first_due(100.0) == 105.0
    assert every.next_due(105.0, 105.7) == 110.0


def test_missed_due_times_collapse_into_one_unless_all_are_wanted() -> None:
    assert schedule(every=5).next_due(100.0, 117.0) == 120.0
    assert schedule(every=5, missed="all").next_due(100.0, 117.0) == 105.0
    assert schedule(every=5).fires(100.0, 10_000.0)
    assert schedule(every=5, missed="skip").fires(100.0, 130.0)
    assert not schedule(every=5, missed="skip").fires(100.0, 10_000.0)


def test_the_id_of_a_due_time_is_the_same_everywhere_and_of_no_other() -> None:
    one, other = schedule(every=5), Schedule(name="hourly", task="report", every=5)
    assert one.task_id(100.0) == schedule(cron="* * * * *").task_id(100.0)
    assert len({one.task_id(100.0), one.task_id(105.0), other.task_id(100.0)}) == 3
    assert UUID(one.task_id(1_790_000_000.0)).version == 7


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({}, "either a cron expression or every"),
        ({"cron": "* * * * *", "every": 5}, "either a cron expression or every"),
        ({"cron": "61 * * * *"}, "Bad minute"),
        ({"cron": "0 0 30 2 *"}, "Bad day-of-month"),
        ({"every": -1}, "between 0.1 seconds"),
        ({"every": 5, "timezone": "Mars/Olympus"}, "unknown time zone 'Mars/Olympus'"),
        ({"every": 5, "missed": "twice"}, "must be one of"),
    ],
)
def test_a_wrong_schedule_is_refused_with_what_is_wrong(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        schedule(**options)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        schedule(every=5, timezone="Mars/Olympus", missed="twice")
    assert len(caught.value.faults) == 2
