"""Whether every contender does what it is measured for: `python -m bench.check` (a whole run begins with it).

Each runs 50 tasks that leave a line with their number: every number must stand there once, and the count from outside,
by which drains are timed, must be 50, too. ONLY= picks as in `python -m bench`.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp

from bench import choice, peers
from bench.contender import PATIENCE, Contender, Load
from bench.outside import worker
from tests.processes import eventually

TASKS = 50


def check(contender: Contender) -> str:
    """What is wrong with it; empty if nothing is."""
    peers.BUILD.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix="check-", dir=peers.BUILD))
    try:
        _run(contender, folder)
    except Exception as error:  # a contender may fail in any way
        return f"{type(error).__name__}: {error}"
    finally:
        contender.forget(folder)
        shutil.rmtree(folder, ignore_errors=True)
    return ""


def _run(contender: Contender, folder: Path) -> None:
    marks = folder / "marks"
    contender.call(folder, "mark", count=TASKS)
    with worker(contender, folder, Load("mark")) as process:
        try:
            eventually(lambda: contender.ended(folder) >= TASKS, within=PATIENCE / 4, what=f"{TASKS} endings")
        except AssertionError as error:
            raise RuntimeError(f"{error} ({contender.ended(folder)} seen)\n{process.printed()}") from error
    found = sorted(int(line) for line in marks.read_text().split())
    if found != list(range(TASKS)):
        raise RuntimeError(f"these ran: {found}")
    if (ended := contender.ended(folder)) != TASKS:
        raise RuntimeError(f"{ended} endings are counted, not {TASKS}")


def checked(contenders: Sequence[Contender]) -> dict[str, str]:
    """What is wrong, by the name of the contender; those that run nothing but a drain of their own are left out."""
    found = {}
    for each in contenders:
        if "mark" not in each.offers:
            continue
        wrong = check(each)
        print(f"check  {each.name:24} {wrong or f'{TASKS} tasks, each once'}", flush=True)
        if wrong:
            found[each.name] = wrong
    return found


def main() -> int:
    contenders = [each for each in choice.contenders(choice.words()) if not each.lacks()]
    return 1 if checked(contenders) else 0


if __name__ == "__main__":
    sys.exit(main())
