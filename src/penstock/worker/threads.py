"""The pool for plain functions: a shared queue, and threads that are woken one at a time.

A hand-over between threads costs a hundred times what a quick task does, so quick tasks are run by one thread, the
scout, a batch at a time, and their outcomes are collected with one wake-up of the loop. Whoever meets a slow or unknown
task lets the next thread scout before it runs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence

from penstock.core.undisturbed import inside, owed
from penstock.worker.job import Job

log = logging.getLogger("penstock.worker.threads")

STUCK = 0.005  #: seconds after which a scout that does not come back from a quick task is replaced

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc


class Threads:
    """`slots` threads, started as they are needed. All methods are for the loop's thread unless they say otherwise."""

    def __init__(
        self,
        slots: int,
        run: Callable[[Job], None],
        ended: Callable[[Sequence[Job]], None],
        main: CallingThread | None = None,
    ) -> None:
        self.slots = slots
        self.run = run  #: runs one job, on a thread; never raises but for interrupts
        self.ended = ended  #: told on the loop which jobs came back
        self.busy = 0  #: jobs that are in here, waiting or running
        self.waiting: deque[Job] = deque()
        self.scout: Thread | None = None  #: who will take the next waiting job
        self.idle: list[Thread] = []
        self.stopping = False
        self.threads: list[Thread] = []
        self._loop = asyncio.get_running_loop()
        self._done: deque[Job] = deque()
        self._told = False  # a collection is on its way
        self._head: Job | None = None  # the first waiting job as the scout's watchdog saw it last
        self._watched = False
        if main is not None:
            self.threads.append(main)
            main.join_pool(self)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Run these, in this order as far as one can tell."""
        self.busy += len(jobs)
        self.waiting.extend(jobs)
        if self.scout is None:
            self.send_scout()
        if not self._watched and self._spare():
            self._watched = True
            self._head = None
            self._loop.call_later(STUCK, self._watch)

    def withdraw(self, before: float) -> list[Job]:
        """Take out what was received before that time (monotonic) and still waits."""
        found: list[Job] = []
        while self.waiting:
            try:
                job = self.waiting.popleft()
            except IndexError:  # a thread was quicker
                break
            if job.received >= before:
                self.waiting.appendleft(job)
                break
            found.append(job)
        self.busy -= len(found)
        return found

    def remove(self, job: Job) -> bool:
        """Take one job out; False if it does not wait (any more)."""
        try:
            self.waiting.remove(job)
        except ValueError:
            return False
        self.busy -= 1
        return True

    def stop(self) -> None:
        """Let the threads go home; those that run something go when it is done."""
        self.stopping = True
        for thread in self.threads:
            thread.wake()

    def send_scout(self) -> None:
        """Wake or start a thread to take what waits, if there is one to spare. From any thread."""
        try:
            thread = self.idle.pop()
        except IndexError:
            if len(self.threads) >= self.slots:
                return
            thread = Thread(self)
            self.threads.append(thread)
            thread.start()
        self.scout = thread
        thread.wake()

    def done(self, job: Job) -> None:
        """A job came back. From any thread."""
        self._done.append(job)
        if not self._told:
            self._told = True
            self._loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        self._told = False
        done = self._done
        jobs = [done.popleft() for _ in range(len(done))]
        if jobs:
            self.busy -= len(jobs)
            self.ended(jobs)

    def _watch(self) -> None:
        """Replace a scout that is held up by a task that used to be quick."""
        head = self.waiting[0] if self.waiting else None
        self._watched = head is not None and self._spare()
        if not self._watched:  # nothing waits, or whoever comes back next will take it
            return
        if head is self._head:
            self.send_scout()
        self._head = head
        self._loop.call_later(STUCK, self._watch)

    def _spare(self) -> bool:
        return bool(self.idle) or len(self.threads) < self.slots


class Thread:
    """One of the pool's threads."""

    def __init__(self, pool: Threads) -> None:
        self.pool = pool
        self.job: Job | None = None  #: what it is in the middle of
        self.ident = 0
        self._gate = threading.Lock()
        self._gate.acquire()

    def start(self) -> None:
        threading.Thread(target=self.work, name="penstock-task", daemon=True).start()

    def wake(self) -> None:
        """Open the gate; opening an open one is fine."""
        with contextlib.suppress(RuntimeError):
            self._gate.release()

    def work(self) -> None:
        """Take jobs until the pool stops."""
        self.ident = threading.get_ident()
        while True:
            try:
                if not self._cycle():
                    return
            except BaseException as stray:  # an interrupt that came after its task had ended; there is nobody to tell
                log.debug("an interrupt came too late: %r", stray)

    def interrupt(self, job: Job, error: type[BaseException]) -> None:
        """Raise `error` in the job's code at its next bytecode; a system call that blocks is not cut short.

        From the look at `self.job` on, the loop's thread keeps the GIL: it could lose it at the beginning of a function
        of Python's, and after a call of one of C's, and there is neither in between. So the exception can only be set
        for the job it is meant for, and strikes before the job's thread gets into code that is undisturbed.
        """
        thread, raised = ctypes.c_ulong(self.ident), ctypes.py_object(error)
        if self.job is job:
            job.interrupt = error
            if self.ident in inside:
                owed[self.ident] = error
            else:
                _raise_in_thread(thread, raised)

    def _cycle(self) -> bool:
        pool, waiting = self.pool, self.pool.waiting
        while not pool.stopping:
            try:
                job = waiting.popleft()
            except IndexError:
                self._rest()
                continue
            if job.kind.slow and pool.scout is self:
                pool.scout = None
                if waiting:
                    pool.send_scout()
            self._run(job)
            pool.done(job)
        return False

    def _run(self, job: Job) -> None:
        job.runner = self
        self.job = job
        try:
            self.pool.run(job)
        except BaseException as error:  # an interrupt that struck the code around the task's own
            job.error = error
        self.job = None
        if job.interrupt is not None:
            self._disarm()

    def _disarm(self) -> None:
        """An interrupt that was set at the last moment must not strike the next job."""
        try:
            _raise_in_thread(ctypes.c_ulong(self.ident), None)
        except BaseException as stray:  # it struck here, where it does no harm
            log.debug("an interrupt came too late: %r", stray)

    def _rest(self) -> None:
        """Sleep until woken. Stand in line, then look at the queue once more: whoever adds does the opposite."""
        pool = self.pool
        if pool.scout is self:
            pool.scout = None
        pool.idle.append(self)
        if pool.waiting or pool.stopping:
            try:
                pool.idle.remove(self)
            except ValueError:  # someone is waking us: take the wake-up
                pass
            else:
                return
        self._gate.acquire()


class CallingThread(Thread):
    """A thread that was not started here: it works for one pool, on behalf of its caller."""

    def __init__(self) -> None:
        self.job = None
        self._gate = threading.Lock()
        self._gate.acquire()
        self.ident = threading.get_ident()
        self._joined = threading.Event()

    def join_pool(self, pool: Threads) -> None:
        """Belong to `pool` from now on."""
        self.pool = pool
        pool.idle.append(self)
        self._joined.set()

    def serve(self) -> None:
        """Work on the calling thread until the pool stops."""
        self._joined.wait()
        self._gate.acquire()  # as `join_pool` put us in the line of the idle
        self.work()


class MainThread(CallingThread):
    """A process slot: the process's main thread runs the jobs, where signals cut even system calls short."""

    SIGNAL = signal.SIGUSR2

    def serve(self) -> None:
        """Work on the calling thread, the main one, until the pool stops."""
        signal.signal(self.SIGNAL, self._strike)
        super().serve()

    def interrupt(self, job: Job, error: type[BaseException]) -> None:
        """Raise `error` in the job's code now, even in the middle of a system call."""
        job.interrupt = error
        signal.pthread_kill(self.ident, self.SIGNAL)

    def _strike(self, *_: object) -> None:
        job = self.job
        if job is not None and job.interrupt is not None:
            error, job.interrupt = job.interrupt, None
            if self.ident not in inside:
                raise error
            owed[self.ident] = error

    def _disarm(self) -> None:
        """Nothing to do: the signal's handler looks at the current job itself."""
