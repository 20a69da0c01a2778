"""Four consumers and programs of every bad kind: each message ends consumed, or as a dead letter with its reason.

`python -m tests.integration.programs.havoc 10000 --on rabbitmq` is the full size; the tests run a smaller one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests import servers
from tests.integration.programs.consuming import Line
from tests.processes import Launched, eventually

#: what a program does with its message, by the message's first word
PROGRAM: Final = r"""
read -r kind number
case $kind in
    fine) ;;
    random) [ $(( ($(od -An -N1 -tu1 /dev/urandom) + 0) % 3 )) != 0 ] || { echo "bad luck" >&2; exit 7; } ;;
    always) echo "always fails: $number" >&2; exit 3 ;;
    never) echo "nonsense: $number" >&2; exit 65 ;;
    killed) [ "$MESSAGE_DELIVERY" != 1 ] || kill -9 $$ ;;
    hangs) [ "$MESSAGE_DELIVERY" != 1 ] || sleep 1000 ;;
    deaf) trap '' TERM INT HUP; [ "$MESSAGE_DELIVERY" != 1 ] || while :; do sleep 1000; done ;;
    flood) yes "a line of nonsense" | head -c 2000000 >&2 ;;
    forks) for each in 1 2 3; do (trap '' TERM HUP; exec sleep 1000) >/dev/null 2>&1 & done ;;
esac
echo "$kind $number" >>"$LEDGER/consumed"
"""
#: how many in a hundred are of a kind
MIX: Final = {
    "fine": 40,
    "random": 30,
    "always": 6,
    "never": 6,
    "killed": 6,
    "hangs": 2,
    "deaf": 2,
    "flood": 4,
    "forks": 4,
}
DEAD: Final = {"always": "ProgramError", "never": "rejected"}
CONSUMERS: Final = 4


def havoc(line: Line, count: int, seed: int, within: float) -> Counter[str]:
    """Let it happen, with consumers that are killed and ended beside; return how many of each kind ended how."""
    rng = random.Random(seed)
    kinds = rng.choices(list(MIX), list(MIX.values()), k=count)
    bodies = [f"{kind} {number}\n".encode() for number, kind in enumerate(kinds)]
    line.env["LEDGER"] = str(line.folder)
    for first in range(0, count, 1000):
        line.publish(*bodies[first : first + 1000])
    program = line.script("program", PROGRAM)
    options = [
        "-n",
        "2",
        "--time-limit",
        "2",
        "--soft-time-limit",
        "1.5",
        "--backoff",
        "0.05",
        "--max-deliveries",
        "10",
    ]
    with contextlib.ExitStack() as stack:
        consumers = [stack.enter_context(line.consumer(program, options=options)) for _ in range(CONSUMERS)]
        _disturb(line, consumers, rng, bodies, within)
        for each in consumers:
            code = each.stop(within=60)
            assert code == 0, f"{code}: {each.printed()}"
    return _accounted(line, bodies)


def _disturb(line: Line, consumers: list[Launched], rng: random.Random, bodies: Sequence[bytes], within: float) -> None:
    """Kill a consumer with all its processes now and then, or end one, until nothing is left to do."""
    deadline, next_blow, blows = time.monotonic() + within, time.monotonic() + 2.0, 0
    while not (line.empty() and _ended(line, bodies)):
        assert time.monotonic() < deadline, f"{line.depth()} after {within} s"
        if time.monotonic() > next_blow and blows < 20:
            victim = rng.choice(consumers)
            if blows % 2:
                victim.process.send_signal(signal.SIGTERM)
                victim.process.wait(60)
            else:
                victim.kill_tree()
            _restart(victim)
            blows, next_blow = blows + 1, time.monotonic() + 3.0
        time.sleep(0.2)


def _ended(line: Line, bodies: Sequence[bytes]) -> bool:
    """Every message has an end, as far as can be seen: RabbitMQ does not tell what is delayed or claimed."""
    known = _consumed(line).keys() | {letter.message.body.decode().strip() for letter in line.letters()}
    return len(known) == len(bodies)


def _consumed(line: Line) -> Counter[str]:
    ledger = line.folder / "consumed"
    return Counter(ledger.read_text().splitlines() if ledger.exists() else ())


def _restart(victim: Launched) -> None:
    """Start it again; done when it is ready, as a signal before that would find nobody to take it."""
    before = victim.printed().count("ready:")
    victim.restart()
    eventually(lambda: victim.printed().count("ready:") > before, what="a consumer that is there again")


def _accounted(line: Line, bodies: list[bytes]) -> Counter[str]:
    consumed = _consumed(line)
    dead = {letter.message.body.decode().strip(): letter for letter in line.letters()}
    ends: Counter[str] = Counter()
    for body in bodies:
        words = body.decode().strip()
        kind = words.split()[0]
        if words in dead:
            letter = dead[words]
            ends[f"{kind} dead: {letter.reason}"] += 1
            assert kind in DEAD or letter.deliveries == 10, (words, letter)
            assert letter.detail, words
            if kind in DEAD:
                assert letter.reason == DEAD[kind] or letter.reason == "WorkerLostError", letter
        else:
            assert consumed[words] >= 1, f"{words} is lost"
            assert kind not in DEAD, f"{words} was consumed"
            ends[f"{kind} consumed"] += 1
    eventually(lambda: not remains(line.folder), what="the end of every program")
    return ends


def remains(folder: Path) -> list[str]:
    """The processes that a program of this folder has left, known by the ledger in their environment."""
    mark, found = f"LEDGER={folder}\0".encode(), []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and entry.name != str(os.getpid()) and mark in (entry / "environ").read_bytes():
                found.append(entry.name)
    return found


def main() -> None:
    """Run it on SQLite, or on a private server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--on", choices=("sqlite", "redis", "rabbitmq", "postgres"), default="sqlite")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as ending:
        ending.callback(servers.end)
        place = f"sqlite:///{folder}/havoc.db"
        broker = place if given.on == "sqlite" else getattr(servers, given.on)().fresh()
        line = Line(broker, place if given.on == "rabbitmq" else broker, Path(folder))
        began = time.monotonic()
        ends = havoc(line, given.count, given.seed, within=3600)
        print(f"{given.count} messages in {time.monotonic() - began:.0f} s, none lost, no process left")  # noqa: T201
        for how, number in sorted(ends.items()):
            print(f"{number:7} {how}")  # noqa: T201


if __name__ == "__main__":
    main()
