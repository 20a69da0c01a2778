"""One run of a program: its input in a file of its own, its output read while it runs, its group gone at the end."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from penstock.core.errors import ProgramError, SoftTimeLimitExceeded
from penstock.programs.link import Exit, Leader, link
from penstock.programs.program import Program

TAIL: Final = 16 * 1024  #: bytes of STDERR that are kept
NEVER: Final = 65  #: EX_DATAERR of sysexits.h: the input is wrong, and will be as wrong next time
_CHUNK: Final = 256 * 1024
_LAST: Final = 16  # chunks that may still be in a pipe: more than any pipe holds
_LONG: Final = 86400.0  # seconds: timers take no infinity
_REAPED: Final = 1.0  # seconds that a killed program has to be gone; one in the middle of a disk's work may take longer

Sink = Callable[[bytes], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """Seconds of real time: at `soft` the group gets SIGTERM, at `hard` SIGKILL."""

    soft: float = math.inf
    hard: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a run ended."""

    code: int  #: negative for a signal
    tail: bytes  #: the end of its STDERR
    late: float = 0.0  #: the limit that it passed, in seconds; 0.0: none
    cpu_seconds: float = 0.0
    memory: int = 0  #: bytes at most

    @property
    def words(self) -> str:
        """What happened, for people: "exit code 3", "killed by SIGKILL", "ran longer than 5 s"."""
        if self.late:
            return f"ran longer than {self.late:g} s"
        return f"killed by {_signal_name(-self.code)}" if self.code < 0 else f"exit code {self.code}"

    @property
    def last_words(self) -> str:
        """The end of its STDERR as text."""
        return self.tail.decode("utf-8", "backslashreplace").strip()

    def told(self, more: str = "") -> str:
        """An error's message: what happened, with `more` behind it, and its last words."""
        return ": ".join(filter(None, (f"{self.words}{more}", self.last_words)))


async def run(
    program: Program,
    body: bytes,
    *,
    environment: Mapping[str, str] | None = None,
    stdout: int | Sink = 1,
    stderr: Sink | None = None,
    time: Time | None = None,
) -> Finished:
    """Run a program with `body` as its STDIN; wait until it has ended, and its group is gone.

    `stdout` is a descriptor of ours, or takes what it writes; `stderr` takes what it writes there. A sink may raise:
    then the group is killed. `environment` comes on top of the program's own. Interrupted from outside: by
    SoftTimeLimitExceeded its group gets SIGTERM and the run goes on, by anything else SIGKILL.
    Raises ProgramError if it cannot be started.
    """
    tail = bytearray()

    def keep(chunk: bytes) -> None:
        tail.extend(chunk)
        del tail[:-TAIL]
        if stderr is not None:
            stderr(chunk)

    started = await link()
    with ExitStack() as ours:
        errors = Pipe(keep)
        ours.callback(errors.close)
        output = None if isinstance(stdout, int) else Pipe(stdout)
        if output is not None:
            ours.callback(output.close)
        with ExitStack() as its:
            its.callback(errors.shut)
            if output is not None:
                its.callback(output.shut)
            stdin = _input(body)
            its.callback(os.close, stdin)
            descriptors = (stdin, stdout if isinstance(stdout, int) else output.write, errors.write)  # type: ignore[union-attr]
            leader = started.start(
                [os.fsencode(each) for each in (program.path, *program.argv)],
                {os.fsencode(k): os.fsencode(v) for k, v in {**program.environment, **(environment or {})}.items()},
                program.folder,
                (program.limits.memory, program.limits.cpu, program.limits.nice),
                descriptors,
            )
        pipes = [pipe for pipe in (errors, output) if pipe is not None]
        watch = _Watch(leader, pipes, time or Time())
        try:
            end = await watch.end()
        except OSError as error:
            what = f"the folder {program.folder}" if error.filename == "folder" else program.path
            raise ProgramError(f"cannot start {what}: {error.strerror}") from None
        for pipe in pipes:
            pipe.finish()
    late = watch.late if end.code else 0.0  # one that ended well at SIGTERM has ended well
    return Finished(code=end.code, tail=bytes(tail), late=late, cpu_seconds=end.cpu_seconds, memory=end.memory)


class Pipe:
    """A pipe from a program to a sink, read by the loop."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()  #: the sink raised
        self._read, self.write = os.pipe()
        os.set_blocking(self._read, False)
        asyncio.get_running_loop().add_reader(self._read, self._some)

    def shut(self) -> None:
        """The program has its own copy of the end that is written to."""
        os.close(self.write)

    def finish(self) -> None:
        """The group is gone: take what is still in the pipe. A process that left the group may hold it open."""
        for _ in range(_LAST):
            if self.broken.done() or not self._some():
                break
        if self.broken.done():
            self.broken.result()

    def close(self) -> None:
        """Read no more. Closing twice is fine."""
        if self._read >= 0:
            asyncio.get_running_loop().remove_reader(self._read)
            os.close(self._read)
            self._read = -1
        if self.broken.done() and not self.broken.cancelled():
            self.broken.exception()  # seen
        self.broken.cancel()

    def _some(self) -> bool:
        """Pass on what is there; False if there is nothing."""
        try:
            data = os.read(self._read, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            asyncio.get_running_loop().remove_reader(self._read)
            return False
        try:
            self.sink(data)
        except Exception as error:  # the sink is the caller's; it is told where it waits
            asyncio.get_running_loop().remove_reader(self._read)
            self.broken.set_exception(error)
        return True


class _Watch:
    """Waits for the end of a program, and hastens it when its time is over."""

    def __init__(self, leader: Leader, pipes: list[Pipe], time: Time) -> None:
        self.leader = leader
        self.pipes = pipes
        self.late = 0.0  #: the limit that it has passed, in seconds
        self._limits = [(signal.SIGTERM, time.soft)] if time.soft < time.hard else []
        self._limits.append((signal.SIGKILL, time.hard))
        self._clock = asyncio.get_running_loop().time
        self._begun = self._clock()

    async def end(self) -> Exit:
        """How it ended. Raises what a sink raised, and OSError if it could not be started."""
        ended = self.leader.ended
        try:
            for number, limit in self._limits:
                if await self._ends(limit):
                    break
                self.late = limit
                self.leader.signal(number)
            await asyncio.wait({ended}, timeout=_REAPED)
            return ended.result() if ended.done() else Exit(-signal.SIGKILL)
        finally:
            if not ended.done():
                self.leader.signal(signal.SIGKILL)
                await asyncio.wait({ended}, timeout=_REAPED)

    async def _ends(self, limit: float) -> bool:
        """Whether it has ended within so many seconds from its beginning."""
        futures: set[asyncio.Future[Any]] = {self.leader.ended, *(pipe.broken for pipe in self.pipes)}
        while not self.leader.ended.done():
            left = self._begun + limit - self._clock()
            if left <= 0:
                return False
            try:
                await asyncio.wait(futures, timeout=min(left, _LONG), return_when=asyncio.FIRST_COMPLETED)
            except SoftTimeLimitExceeded:
                self.late = self._clock() - self._begun
                self.leader.signal(signal.SIGTERM)
            for pipe in self.pipes:
                if pipe.broken.done():
                    pipe.broken.result()
        return True


def _input(body: bytes) -> int:
    """A descriptor that reads as `body`, whoever reads it, and however much of it."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("penstock-body")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    view = memoryview(body)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
