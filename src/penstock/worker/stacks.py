"""What a process is doing, as text: the stacks of its threads and asyncio tasks, and which tasks they run."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from types import FrameType

from penstock.worker.coroutines import Interruptible
from penstock.worker.job import Job
from penstock.worker.threads import Thread


def text(jobs: Sequence[Job]) -> str:
    """All stacks; `jobs` are those that run, to name them and show where they wait. Call it on the loop."""
    busy = {job.runner.ident: job for job in jobs if isinstance(job.runner, Thread)}
    parts = []
    for thread in threading.enumerate():
        frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - the documented way to another thread's stack
        job = busy.get(thread.ident or 0)
        what = f" runs {job.request.task} {job.task_id}" if job is not None else ""
        parts.append(f"thread {thread.name}{what}\n" + "".join(traceback.format_stack(frame)))
    inside = [(job, job.runner.step) for job in jobs if isinstance(job.runner, Interruptible)]
    parts += [f"coroutine runs {job.request.task} {job.task_id}\n{_waits(step)}" for job, step in inside]
    parts += [f"coroutine {task.get_name()}\n{_waits(task.get_coro())}" for task in asyncio.all_tasks()]
    return "\n".join(parts)


def _waits(coroutine: object) -> str:
    """Its frame and those of what it waits for, down to the one that sleeps; asyncio shows the first alone."""
    return "".join(traceback.StackSummary.extract(_awaited(coroutine)).format())


def _awaited(coroutine: object) -> Iterator[tuple[FrameType, int]]:
    while (frame := getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)) is not None:
        yield frame, frame.f_lineno
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
