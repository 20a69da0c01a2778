"""Settings from arguments and environment (DESIGN §5.2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.core.errors import ConfigurationError
from penstock.core.settings import Settings
from penstock.core.url import absolute, place, redact

RPC = (
    "rpc:// answers to the sender only and keeps no records; name a place that does, e.g. "
    "sqlite:///x.db (callers that ask for an rpc answer by reply_to get one in addition)"
)


def faults(environ: dict[str, str], **overrides: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(environ, **overrides)
    return caught.value.faults


def test_the_default_is_an_sqlite_file_here_by_its_absolute_path() -> None:
    settings = Settings.load({})
    assert settings.broker_url == f"sqlite:///{Path.cwd()}/penstock.db"
    assert settings.result_backend == settings.broker_url


def test_every_field_has_its_variable() -> None:
    settings = Settings.load(
        {
            "PENSTOCK_BROKER_URL": "memory://a",
            "PENSTOCK_RESULT_BACKEND": "memory://b",
            "PENSTOCK_DEFAULT_QUEUE": "work",
            "PENSTOCK_LEASE": "20.5",
            "PENSTOCK_THREADS": "3",
            "PENSTOCK_INSECURE": "Yes",
            "PENSTOCK_API_KEYS": "the-first-long-secret, the-second-long-one,",
        }
    )
    assert (settings.broker_url, settings.result_backend, settings.default_queue) == (
        "memory://a",
        "memory://b",
        "work",
    )
    assert (settings.lease, settings.threads, settings.insecure) == (20.5, 3, True)
    assert settings.api_keys == ("the-first-long-secret", "the-second-long-one")


def test_an_argument_wins_over_the_environment_and_none_leaves_it_be() -> None:
    environ = {"PENSTOCK_BROKER_URL": "memory://env", "PENSTOCK_LEASE": "20"}
    settings = Settings.load(environ, broker_url="memory://arg", lease=None)
    assert (settings.broker_url, settings.lease) == ("memory://arg", 20.0)


@pytest.mark.parametrize("variable", ["CELERY_BROKER_URL", "CELERY_BROKER_URI"])
def test_celerys_variables_are_read_where_ours_are_unset(variable: str) -> None:
    assert Settings.load({variable: "memory://celery", "PENSTOCK_BROKER_URL": ""}).broker_url == "memory://celery"
    assert Settings.load({variable: "memory://celery", "PENSTOCK_BROKER_URL": "memory://p"}).broker_url == "memory://p"
    assert Settings.load({"CELERY_RESULT_BACKEND": "memory://r"}).result_backend == "memory://r"


def test_a_broker_that_cannot_hold_results_leaves_the_result_backend_open() -> None:
    assert Settings.load({"PENSTOCK_BROKER_URL": "amqp://me:secret@host"}).result_backend == ""


def test_all_faults_are_told_at_once_by_the_name_of_their_variable() -> None:
    found = faults(
        {
            "PENSTOCK_LEASE": "abc",
            "PENSTOCK_THREADS": "0",
            "PENSTOCK_INSECURE": "perhaps",
            "CELERY_RESULT_BACKEND": "rpc://",
            "PENSTOCK_BROKER_URL": "somewhere",
        },
        leas=3,
    )
    assert set(found) == {
        "unknown setting 'leas'; did you mean lease?",
        "PENSTOCK_LEASE='abc': expected a number, got text",
        "PENSTOCK_THREADS='0': expected a whole number >= 1",
        "PENSTOCK_INSECURE='perhaps': expected true or false, got text",
        "PENSTOCK_BROKER_URL: 'somewhere' is not a URL; it starts like sqlite:///, memory:// or redis://",
        f"CELERY_RESULT_BACKEND: {RPC}",
    }


@pytest.mark.parametrize(("name", "value"), [("LEASE", "nan"), ("LEASE", "inf"), ("GRACE", "-1"), ("PORT", "70000")])
def test_numbers_out_of_range_are_refused(name: str, value: str) -> None:
    assert faults({f"PENSTOCK_{name}": value})[0].startswith(f"PENSTOCK_{name}='{value}': expected")


def test_a_lease_must_outlive_its_renewal() -> None:
    assert faults({"PENSTOCK_LEASE": "2"}) == ("lease_renewal=3.0 must be less than lease=2.0",)


def test_secrets_are_in_no_error_and_no_repr() -> None:
    [fault] = faults({}, result_backend="rpc://me:secret@host")
    assert "secret" not in fault
    environ = {"PENSTOCK_BROKER_URL": "amqp://me:secret@host", "PENSTOCK_API_KEYS": "secret-of-some-length"}
    settings = Settings.load(environ)
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite://host/x.db"])
def test_an_sqlite_url_must_name_a_file(url: str) -> None:
    assert "names no file" in faults({"PENSTOCK_BROKER_URL": url})[0]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://me:secret@host:1/0", "redis://me:***@host:1/0"),
        ("redis://:secret@host", "redis://:***@host"),
        ("amqp://me:se/cr@et@host//", "amqp://me:***@host//"),
        ("amqp://a:secret@one;amqp://b:secret@two", "amqp://a:***@two"),
        ("redis://host/0?password=secret&db=1", "redis://host/0?password=***&db=1"),
        ("sqlite:////srv/a.db", "sqlite:////srv/a.db"),
        ("no url at all", "no url at all"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_a_relative_path_is_made_absolute_and_an_absolute_one_stays() -> None:
    assert absolute("sqlite:///a.db?timeout=5") == f"sqlite:///{Path.cwd()}/a.db?timeout=5"
    assert absolute("sqlite:////srv/a.db") == "sqlite:////srv/a.db"
    assert absolute("redis://host/0") == "redis://host/0"


def test_two_urls_of_one_place_are_known_as_one() -> None:
    assert place("sqlite:///a.db?timeout=5") == place(f"sqlite:///{Path.cwd()}/a.db")
    assert place("sqlite:///a.db") != place("sqlite:///b.db")
    assert place("REDIS://host/0/") == place("redis://host/0")


def test_faulty_keys_and_a_faulty_rate_are_told_with_everything_else_and_no_secret() -> None:
    secret = "correct-horse-battery"
    told = faults(
        {
            "PENSTOCK_API_KEYS": f"short,{secret},spaces are not allowed,{secret}=raed",
            "PENSTOCK_API_RATE_LIMIT": "fast",
            "PENSTOCK_BROKER_URL": "sqlight:///x.db",
            "PENSTOCK_LEASE": "0",
        },
        serves=lambda url: f"{url}: no such place" if url.startswith("sqlight") else "",
    )
    assert len(told) == 6
    assert [line.split()[:3] for line in told if "KEYS" in line] == [["PENSTOCK_API_KEYS:", "key", n] for n in "134"]
    assert "PENSTOCK_API_RATE_LIMIT: 'fast' is not a rate such as 100/s, 600/m or 1000/h" in told
    assert any(line.startswith("PENSTOCK_BROKER_URL: sqlight:") for line in told)
    assert secret not in str(told)
    assert "spaces" not in str(told)
