"""Notices changes of the Python files below a folder, by looking at their times: no dependency, any file system."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

#: Folders that hold other people's code or none.
_SKIPPED = {"__pycache__", "node_modules", "site-packages"}
_PERIOD = 0.5  # seconds between two looks
_SHARE = 0.05  # of a processor, at most, goes into looking: a large tree is looked at more rarely


class Sources:
    """The `.py` files below `folder`: hidden folders, environments and caches left out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen = self._look()

    def changed(self) -> list[Path]:
        """The files that changed, appeared or went since the last call."""
        before, self._seen = self._seen, self._look()
        return [path for path in before.keys() | self._seen.keys() if before.get(path) != self._seen.get(path)]

    def pause(self) -> float:
        """Seconds to wait before the next look."""
        return max(_PERIOD, self._cost / _SHARE)

    def _look(self) -> dict[Path, tuple[int, int]]:
        started = time.process_time()
        seen = {path: (stat.st_mtime_ns, stat.st_size) for path, stat in self._files()}
        self._cost = time.process_time() - started
        return seen

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for folder, subfolders, names in os.walk(self.folder):
            subfolders[:] = [name for name in subfolders if _own(folder, name)]
            for path in (Path(folder, name) for name in names if name.endswith(".py")):
                with suppress(OSError):  # gone since the folder was listed
                    yield path, path.stat()


def _own(folder: str, name: str) -> bool:
    """Whether the application's own code may be in this folder."""
    return not (name in _SKIPPED or name.startswith(".") or Path(folder, name, "pyvenv.cfg").exists())
