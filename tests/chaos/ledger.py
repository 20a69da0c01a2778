"""What really ran, written by the tasks themselves, and what was promised, written by the producers."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from pathlib import Path


class Ledger:
    """Reads the FIFO in which tasks note their beginning and end; keeps the ids that the product has accepted."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger"
        os.mkfifo(self.path)
        self._file = os.open(self.path, os.O_RDWR)  # both ends: it never ends while no task runs
        self.begun: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.accepted: set[str] = set()
        self.lock = threading.Lock()
        threading.Thread(target=self._read, name="ledger", daemon=True).start()

    def accept(self, task_ids: list[str]) -> None:
        """These were promised."""
        with self.lock:
            self.accepted.update(task_ids)

    def running(self) -> set[str]:
        """What has begun and not ended, as often as it has begun."""
        with self.lock:
            return {task_id for task_id, times in self.begun.items() if self.ended[task_id] < times}

    def never_ran(self) -> set[str]:
        with self.lock:
            return {task_id for task_id in self.accepted if not self.begun[task_id]}

    def again(self) -> dict[str, int]:
        """What ran more than once, and how often."""
        with self.lock:
            return {task_id: times for task_id, times in self.begun.items() if times > 1}

    def _read(self) -> None:
        rest = b""
        while chunk := os.read(self._file, 1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            with self.lock:
                for line in lines:
                    with contextlib.suppress(ValueError):
                        task_id, event, _ = line.decode().split()
                        (self.begun if event == "begin" else self.ended)[task_id] += 1
