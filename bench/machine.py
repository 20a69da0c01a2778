"""The machine in general terms, and how fast it syncs: what absolute figures depend on."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WRITES = 50
WINDOW = 0.25  #: seconds


def described() -> dict[str, Any]:
    """CPU model, cores that may be used, memory in GiB."""
    cpu = _line("/proc/cpuinfo", "model name") or "unknown CPU"
    kilobytes = int(_line("/proc/meminfo", "MemTotal").split()[0])
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(kilobytes / 1024 / 1024),
    }


def sync_time(folder: Path) -> float:
    """Microseconds (median) for 4 KiB to be written and synced in `folder`: the least that a durable commit takes."""
    taken = []
    file = os.open(folder / "sync", os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        for _ in range(WRITES):
            start = time.perf_counter()
            os.write(file, bytes(4096))
            os.fdatasync(file)
            taken.append(time.perf_counter() - start)
    finally:
        os.close(file)
    return 1e6 * statistics.median(taken)


def idle() -> float:
    """The share of the cores' time that nobody used, in per cent, over a short while from now."""
    before = _times()
    time.sleep(WINDOW)
    after = _times()
    total = sum(after) - sum(before)
    return (
        100 * (after[3] + after[4] - before[3] - before[4]) / total if total else 100.0
    )  # idle and waiting for a disk


def cpu(pids: Sequence[int]) -> float:
    """Seconds of CPU that these processes have used so far, in all their threads; those that are gone count nothing."""
    used = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            used += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return used / os.sysconf("SC_CLK_TCK")


def _times() -> list[int]:
    """Ticks of all cores together: user, nice, system, idle, iowait, … (proc_stat(5))."""
    return [int(ticks) for ticks in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]


def _line(path: str, name: str) -> str:
    """The value of the first line `name: value`."""
    for line in Path(path).read_text().splitlines():
        if line.partition(":")[0].strip() == name:
            return line.partition(":")[2].strip()
    return ""
