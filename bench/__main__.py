"""`python -m bench`: measure Penstock and its peers side by side (`make bench`).

ONLY=redis,huey,drain-1 picks contenders, measurements or both, by the beginnings or ends of their names (Penstock takes
part on each broker concerned). ROUNDS=3 is how often it is measured at most; MINUTES=38 is when nothing new is begun.
A whole run writes docs/benchmarks.md, its chart and docs/benchmarks.json; a part is only printed. Both leave what they
measured in build/bench/. SCALE=0.01 tries it all with few tasks, its figures mean nothing.
"""

from __future__ import annotations

import compileall
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import chart, choice, machine, peers, report
from bench.check import checked
from bench.contender import ROOT, Contender
from bench.runner import estimated, run
from bench.scale import SCALE


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # an orderly end: what was started is killed
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(ROOT / "src", quiet=2)  # as an installation does: nobody compiles at each start
    try:
        words = choice.words()
    except choice.UnknownError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    measurements = choice.measurements(words)
    contenders, missing = _sound(choice.contenders(words))
    about = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine.described(), "versions": _versions(contenders)}
    rounds = int(os.environ.get("ROUNDS") or 3)
    if SCALE == 1:
        print(f"This should take about {estimated(contenders, measurements, rounds):.0f} minutes", flush=True)
    results = run(contenders, measurements, rounds)
    results.about = {**about, "missing": missing}
    page = report.page(results, contenders, measurements)
    _write(page, report.data(results), chart.drawn(results, contenders), whole=not words and SCALE == 1)
    return 1 if results.failures else 0


def _sound(contenders: Sequence[Contender]) -> tuple[tuple[Contender, ...], dict[str, str]]:
    """Those that can be measured here and are right; why the others are left out, in one line each."""
    missing = {each.name: why for each in contenders if (why := each.lacks())}
    missing |= checked([each for each in contenders if each.name not in missing])
    for name, why in missing.items():
        print(f"Not measured: {name}: {why.splitlines()[0]}", flush=True)
    return tuple(each for each in contenders if each.name not in missing), missing


def _versions(contenders: Sequence[Contender]) -> dict[str, dict[str, str]]:
    with TemporaryDirectory() as folder:
        return {each.name: each.call(Path(folder), "versions", packages=each.packages) for each in contenders}


def _write(page: str, data: str, drawing: str, *, whole: bool) -> None:
    (peers.BUILD / "benchmarks.md").write_text(page)
    (peers.BUILD / "benchmarks.json").write_text(data)
    (peers.BUILD / "benchmarks.svg").write_text(drawing)
    print(f"\n{page}")
    if whole:
        (ROOT / "docs" / "benchmarks.md").write_text(page)
        (ROOT / "docs" / "benchmarks.json").write_text(data)
        (ROOT / "docs" / "images" / "benchmarks.svg").write_text(drawing)
        print("Written to docs/benchmarks.md and docs/benchmarks.json")


if __name__ == "__main__":
    sys.exit(main())
