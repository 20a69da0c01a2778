"""What a process is doing, as text: the stacks of its threads and asyncio tasks, and which tasks they run."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
import traceback
from collections.abc import Sequence

from penstock.worker.job import Job
from penstock.worker.threads import Thread


def text(jobs: Sequence[Job]) -> str:
    """All stacks; `jobs` are those that run, to name them. Call it on the loop."""
    busy = {job.runner.ident: job for job in jobs if isinstance(job.runner, Thread)}
    parts = []
    for thread in threading.enumerate():
        frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - the documented way to another thread's stack
        job = busy.get(thread.ident or 0)
        what = f" runs {job.request.task} {job.task_id}" if job is not None else ""
        parts.append(f"thread {thread.name}{what}\n" + "".join(traceback.format_stack(frame)))
    for task in asyncio.all_tasks():
        out = io.StringIO()
        task.print_stack(file=out)
        parts.append(f"coroutine {task.get_name()}\n{out.getvalue()}")
    return "\n".join(parts)
