"""`python -m bench`: measure Penstock and its peers side by side (`make bench`).

ONLY=redis,huey,drain-1 picks contenders, measurements or both, by the beginnings or ends of their names (Penstock takes
part on each broker concerned); ROUNDS=3 is how often everything is measured. A whole run writes docs/benchmarks.md and
docs/benchmarks.json; a part is only printed. Both leave what they measured in build/bench/.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, TypeVar

from bench import machine, peers, report
from bench.contender import ROOT, Contender
from bench.contenders import CONTENDERS
from bench.measurements import MEASUREMENTS
from bench.runner import run


class Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # an orderly end: what was started is killed
    words = [word for word in os.environ.get("ONLY", "").replace(",", " ").split() if word]
    contenders = _beside_penstock(_picked(CONTENDERS, words))
    measurements = _picked(MEASUREMENTS, words)
    known = [*(each.name for each in CONTENDERS), *(each.name for each in MEASUREMENTS)]
    if unknown := [word for word in words if not any(_names(word, name) for name in known)]:
        print(f"error: ONLY={','.join(unknown)} names nothing; known are {', '.join(known)}", file=sys.stderr)
        return 2
    about = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine.described(), "versions": _versions(contenders)}
    results = run(contenders, measurements, int(os.environ.get("ROUNDS") or 3))
    results.about = about
    _write(report.page(results, contenders, measurements), report.data(results), whole=not words)
    return 1 if results.failures else 0


def _picked(named: Sequence[N], words: Sequence[str]) -> tuple[N, ...]:
    """Those that some word names; all of them where no word names any."""
    found = tuple(each for each in named if any(_names(word, each.name) for word in words))
    return found or tuple(named)


def _beside_penstock(picked: Sequence[Contender]) -> tuple[Contender, ...]:
    """With what they are compared with: the first one on each broker."""
    ours = {each.broker: each for each in reversed(CONTENDERS)}
    wanted = {*picked, *(ours[each.broker] for each in picked)}
    return tuple(each for each in CONTENDERS if each in wanted)


def _names(word: str, name: str) -> bool:
    return name == word or name.startswith(f"{word}-") or name.endswith(f"-{word}")


def _versions(contenders: Sequence[Contender]) -> dict[str, dict[str, str]]:
    with TemporaryDirectory() as folder:
        return {each.name: each.call(Path(folder), "versions", packages=each.packages) for each in contenders}


def _write(page: str, data: str, *, whole: bool) -> None:
    (peers.BUILD / "benchmarks.md").write_text(page)
    (peers.BUILD / "benchmarks.json").write_text(data)
    print(f"\n{page}")
    if whole:
        (ROOT / "docs" / "benchmarks.md").write_text(page)
        (ROOT / "docs" / "benchmarks.json").write_text(data)
        print("Written to docs/benchmarks.md and docs/benchmarks.json")


if __name__ == "__main__":
    sys.exit(main())
