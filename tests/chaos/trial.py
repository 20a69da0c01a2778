"""One trial: producers submit, faults happen at random, and in the end the ledger is compared with the records."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from penstock.client.submit import Submitter
from penstock.core.states import ENDED
from tests.chaos.ground import HELD, Ground
from tests.chaos.producers import Producers, by_http, by_python
from tests.processes import eventually

READ = 500
#: seconds within which everything has ended once nothing breaks any more
QUIET = 180.0
#: faults of one trial, however slow the machine is
LEAST = 5


@dataclass
class Verdict:
    """What came of it."""

    accepted: int = 0
    states: Counter[str] = field(default_factory=Counter)
    lost: set[str] = field(default_factory=set)  #: accepted, and no record or no end
    never_ran: set[str] = field(default_factory=set)
    again: int = 0  #: runs beyond the first of each task
    allowed: int = 0  #: what was in flight at all faults together may have run again
    faults: Counter[str] = field(default_factory=Counter)
    refused: int = 0  #: calls of producers that were told no, and sent again
    slowest: float = 0.0  #: seconds that one call of a producer took
    seconds: float = 0.0

    @property
    def well(self) -> bool:
        return not self.lost and not self.never_ran and self.again <= self.allowed and self.accepted > 0

    def __str__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        faults = ", ".join(f"{count} x {name}" for name, count in sorted(self.faults.items()))
        return (
            f"{'well' if self.well else 'NOT WELL'} after {self.seconds:.0f} s: {self.accepted} accepted ({states}), "
            f"{len(self.lost)} lost, {len(self.never_ran)} never ran, "
            f"{self.again} runs again (at most {self.allowed}); {self.refused} calls refused, "
            f"the slowest took {self.slowest:.1f} s; faults: {faults}"
        )


def trial(ground: Ground, tasks: int, seconds: float, pause: float) -> Verdict:
    """Submit `tasks` over `seconds`, with a fault about every `pause` seconds meanwhile; wait for the end; judge."""
    verdict = Verdict()
    begun = time.monotonic()
    share, pace = tasks // 3, tasks / 3 / seconds
    producers = [
        by_http("http-1", ground.port, ground.ledger, share, pace),
        by_http("http-2", ground.port, ground.ledger, share, pace),
        by_python("python", ground.app, ground.ledger, tasks - 2 * share, pace),
    ]
    for producer in producers:
        producer.start()
    _break(ground, producers, verdict, begun + seconds, pause)
    ground.heal()
    for producer in producers:
        producer.join(QUIET)
        assert not producer.is_alive(), f"{producer.name} hangs"
        if producer.broken is not None:
            raise producer.broken
    _judge(ground, verdict)
    verdict.refused = sum(producer.errors for producer in producers)
    verdict.slowest = max(producer.slowest for producer in producers)
    verdict.seconds = time.monotonic() - begun
    return verdict


def _break(ground: Ground, producers: list[Producers], verdict: Verdict, until: float, pause: float) -> None:
    faults = ground.faults()
    ground.random.shuffle(faults)
    while (time.monotonic() < until and any(each.is_alive() for each in producers)) or verdict.faults.total() < LEAST:
        time.sleep(ground.random.uniform(0.5, 1.5) * pause)
        fault = faults[verdict.faults.total() % len(faults)]  # each of them in turn, in a random order
        fault.do()
        verdict.faults[fault.name] += 1
        verdict.allowed += fault.children * HELD


def _judge(ground: Ground, verdict: Verdict) -> None:
    accepted = sorted(ground.ledger.accepted)
    verdict.accepted = len(accepted)
    states: dict[str, str] = {}

    def all_ended() -> bool:
        open_ones = [task_id for task_id in accepted if states.get(task_id) not in ENDED]
        for start in range(0, len(open_ones), READ):
            states.update(_states(ground, open_ones[start : start + READ]))
        return all(states.get(task_id) in ENDED for task_id in accepted)

    try:
        eventually(all_ended, within=QUIET, every=0.5)
    except AssertionError:
        verdict.lost = {task_id for task_id in accepted if states.get(task_id) not in ENDED}
    verdict.states = Counter(states.values())
    verdict.never_ran = ground.ledger.never_ran()
    verdict.again = sum(times - 1 for times in ground.ledger.again().values())


def _states(ground: Ground, task_ids: list[str]) -> dict[str, str]:
    async def look(submitter: Submitter) -> Any:
        return await submitter.backends.results.records.check(task_ids)

    return {task_id: standing.state for task_id, standing in ground.app.portal.call(look).items()}
