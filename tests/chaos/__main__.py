"""`python -m tests.chaos`: on each broker in turn, break things at random while tasks run; exit 1 if anything was lost.

`make chaos` runs it in full; the integration tests run it for some seconds on each broker.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests import servers
from tests.chaos.ground import Ground, brokers
from tests.chaos.trial import trial

SETTINGS = {"lease": "3", "lease_renewal": "1", "grace": "5"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--brokers", default=",".join(brokers()), help="with commas between them")
    parser.add_argument("--seconds", type=float, default=600.0, help="of all brokers together")
    parser.add_argument("--tasks", type=int, default=100_000, help="of all brokers together")
    parser.add_argument("--pause", type=float, default=4.0, help="seconds between two faults, on average")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", action="store_true", help="print what workers and API logged")
    given = parser.parse_args()
    names = given.brokers.split(",")
    print(f"seed {given.seed}")  # noqa: T201
    well = True
    for name in names:
        with (
            tempfile.TemporaryDirectory(prefix="penstock-chaos-") as folder,
            Ground(name, Path(folder), given.seed, SETTINGS) as ground,
        ):
            verdict = trial(ground, given.tasks // len(names), given.seconds / len(names), given.pause)
            if given.keep or not verdict.well:
                print(*ground.logs(), sep="\n")  # noqa: T201
        print(f"{name}: {verdict}", flush=True)  # noqa: T201
        well &= verdict.well
    servers.end()
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
