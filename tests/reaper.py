"""Ends what the tests started when the process that started it is gone, however it ended.

A program: it reads `run PID`, `end PID` and `folder PATH`, a line each, from STDIN, which closes when its parent ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterable


def main(lines: Iterable[str]) -> None:
    groups: set[int] = set()
    folders: list[str] = []
    for line in lines:
        order, _, rest = line.rstrip("\n").partition(" ")
        if order == "run":
            groups.add(int(rest))
        elif order == "end":
            groups.discard(int(rest))
        else:
            folders.append(rest)
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    main(sys.stdin)
