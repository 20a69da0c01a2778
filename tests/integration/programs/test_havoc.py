"""A small havoc on two of the servers; `havoc` tells what happens, and runs on all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import places
from tests.integration.programs.consuming import Line
from tests.integration.programs.havoc import havoc

COUNT = 150


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", ["sqlite", "redis"])
def test_each_message_ends_consumed_or_dead_and_nobody_is_left(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    place = places.place(name, request)
    results = place.url if name in places.RESULTS else f"sqlite:///{tmp_path}/results.db"
    ends = havoc(Line(place.url, results, tmp_path), COUNT, seed=7, within=300)
    assert sum(ends.values()) == COUNT
    assert ends["always dead: ProgramError"] + ends["never dead: rejected"] > 5
