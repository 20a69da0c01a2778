"""The short form of `make chaos`: half a minute of random faults on every broker, judged by a ledger outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.__main__ import SETTINGS
from tests.chaos.ground import Ground, brokers
from tests.chaos.trial import trial


@pytest.mark.timeout(600)
@pytest.mark.parametrize("broker", brokers())
def test_whatever_breaks_every_accepted_task_ends_once_and_has_run(broker: str, tmp_path: Path) -> None:
    with Ground(broker, tmp_path, seed=7, settings=SETTINGS) as ground:
        verdict = trial(ground, tasks=1200, seconds=25, pause=1.5)
        assert verdict.well, f"{verdict}\n" + "\n".join(ground.logs())
        assert set(verdict.states) == {"SUCCESS"}, verdict
