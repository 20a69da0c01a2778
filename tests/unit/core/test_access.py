"""What API keys and their rate may be."""

from __future__ import annotations

import pytest

from penstock.core.access import Rate


def test_a_rate_is_a_count_and_a_period() -> None:
    assert Rate.parse("100/s") == Rate(100, 1.0)
    assert Rate.parse("600/m") == Rate(600, 60.0)
    assert Rate.parse("") is None


@pytest.mark.parametrize("text", ["100", "0/s", "-1/s", "1/d", "1.5/s", "fast"])
def test_what_is_no_rate_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        Rate.parse(text)
