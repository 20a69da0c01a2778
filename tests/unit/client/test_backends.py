"""From URLs to back ends."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.client.backends import can_block, connect, require_shared
from penstock.core.errors import ConfigurationError
from penstock.core.settings import Settings


def settings(broker: str, results: str | None = None) -> Settings:
    return Settings.load({}, broker_url=broker, result_backend=results)


def test_one_place_is_one_driver_and_two_are_two() -> None:
    assert connect(settings("memory://a")).shared
    assert not connect(settings("memory://a", "memory://b")).shared


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("sqlit:///x.db", "sqlit:///x.db: no back end for sqlit://; did you mean sqlite://?"),
        (
            "zz://a:secret@b",
            (
                "zz://a:***@b: no back end for zz://; known are sqlite://, memory://, redis://, rediss://, "
                "redis+socket://, postgresql://, postgres://, amqp://, amqps://, pyamqp://"
            ),
        ),
    ],
)
def test_a_scheme_that_nothing_serves_is_named_without_secrets(url: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect(settings(url))
    assert caught.value.faults == (fault,)


def test_a_broker_without_results_needs_a_place_for_them() -> None:
    with pytest.raises(ConfigurationError, match="set PENSTOCK_RESULT_BACKEND"):
        connect(settings("amqp://host"))


async def test_opening_and_closing_twice_is_fine() -> None:
    backends = connect(settings("memory://a"))
    async with backends:
        await backends.open()
    await backends.close()


def test_the_place_is_shown_for_people() -> None:
    assert connect(settings("memory://a")).urls == "memory://a"
    assert connect(settings("memory://a", "memory://b")).urls == "memory://a and memory://b"


def test_which_back_ends_can_block_is_known_without_opening_them() -> None:
    assert can_block(settings("memory://a", "sqlite:///x.db"))
    assert not can_block(settings("amqp://host", "memory://a"))


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"eager": True}, "PENSTOCK_EAGER is set"),
        ({"broker_url": "memory://"}, "memory:// is for tests"),
        ({"result_backend": "memory://x"}, "memory:// is for tests"),
    ],
)
def test_servers_refuse_what_no_other_process_sees(given: dict[str, Any], fault: str) -> None:
    require_shared(Settings.load({}))
    with pytest.raises(ConfigurationError, match=fault):
        require_shared(Settings.load({}, **given))
