"""Programs that last: slow to start, so that a few processes of one answer many questions, a line in, a line out.

A process answers one question at a time. One that fails to, or is interrupted in the middle, is killed with its group:
nobody can tell what it would say next. The others go on, and a new one starts with the next question.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import weakref
from collections.abc import AsyncGenerator
from typing import Any, Final

from penstock.core.errors import ProgramError
from penstock.programs.link import Exit, Leader, link
from penstock.programs.program import Program
from penstock.programs.run import TAIL, Finished, Pipe, Sink

LONGEST: Final = 10_000_000  #: bytes of an answer


class Lasting:
    """At most `size` processes of one program, started as they are needed."""

    def __init__(self, program: Program, size: int) -> None:
        self._program = program
        self._slots = asyncio.Semaphore(size)
        self._idle: list[_Process] = []

    async def ask(self, line: bytes, stderr: Sink) -> bytes:
        """Give `line` to a process that is free, return the line that it answers, both without the line's end.

        `stderr` takes what it writes there meanwhile. Raises ProgramError if it ends before it has answered, or cannot
        be started.
        """
        async with self._slots:
            process = await self._process()
            try:
                answer = await process.ask(line, stderr)
            except BaseException:  # whatever interrupts it
                process.kill()
                raise
            self._idle.append(process)
            return answer

    def close(self) -> None:
        """Let go of those that wait for a question. Their warden ends with the loop, too, and ends them."""
        while self._idle:
            self._idle.pop().let_go()

    async def _process(self) -> _Process:
        while self._idle:
            process = self._idle.pop()
            if process.lives:
                return process
            process.kill()
        return await _Process.start(self._program)


class _Process:
    """One process, and the ends of its pipes."""

    def __init__(self) -> None:
        self.leader: Leader
        self._stdin = -1
        self._pipes = [Pipe(self._say), Pipe(self._complain)]
        self._answer: asyncio.Future[bytes] | None = None
        self._said = bytearray()
        self._tail = bytearray()
        self._stderr: Sink | None = None

    @classmethod
    async def start(cls, program: Program) -> _Process:
        """Start one; that it cannot be started is told by its first answer."""
        started, process = await link(), cls()
        theirs, process._stdin = os.pipe()
        os.set_blocking(process._stdin, False)
        output, errors = process._pipes
        try:
            process.leader = started.start(
                [os.fsencode(each) for each in (program.path, *program.argv)],
                {os.fsencode(name): os.fsencode(value) for name, value in program.environment.items()},
                program.folder,
                (program.limits.memory, program.limits.cpu, program.limits.nice),
                (theirs, output.write, errors.write),
            )
        finally:
            os.close(theirs)
            output.shut()
            errors.shut()
        return process

    @property
    def lives(self) -> bool:
        return not self.leader.ended.done() and not self._said

    async def ask(self, line: bytes, stderr: Sink) -> bytes:
        """Its answer to one question."""
        self._stderr = stderr
        self._tail.clear()
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answer = answer
        ends: set[asyncio.Future[Any]] = {answer, self.leader.ended, *(pipe.broken for pipe in self._pipes)}
        writing = asyncio.ensure_future(self._write(line + b"\n"))
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            writing.cancel()
            self._stderr = self._answer = None
        for pipe in self._pipes:
            if pipe.broken.done():
                pipe.broken.result()
        if not answer.done():
            raise self._failed()
        return answer.result()

    def kill(self) -> None:
        """End its group, and let go of it."""
        self.leader.signal(signal.SIGKILL)
        self.let_go()

    def let_go(self) -> None:
        """Close our ends."""
        if self.leader.ended.done() and not self.leader.ended.cancelled():
            self.leader.ended.exception()  # seen
        for pipe in self._pipes:
            pipe.close()
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1

    def _say(self, data: bytes) -> None:
        """It has written to its STDOUT."""
        self._said += data
        line, end, rest = self._said.partition(b"\n")
        if self._answer is not None and end and not self._answer.done():
            self._said = rest
            self._answer.set_result(bytes(line))
        elif len(self._said) > LONGEST:
            raise ProgramError(f"the program answered more than {LONGEST} bytes")

    def _complain(self, data: bytes) -> None:
        """It has written to its STDERR."""
        self._tail += data
        del self._tail[:-TAIL]
        if self._stderr is not None:
            self._stderr(data)

    async def _write(self, data: bytes) -> None:
        view, loop = memoryview(data), asyncio.get_running_loop()
        while view:
            try:
                view = view[os.write(self._stdin, view) :]
            except BlockingIOError:
                room = loop.create_future()
                loop.add_writer(self._stdin, _done, room)
                try:
                    await room
                finally:
                    loop.remove_writer(self._stdin)
            except BrokenPipeError:
                return  # it ends, which is seen elsewhere, or will not read all of the question

    def _failed(self) -> ProgramError:
        for pipe in self._pipes:
            pipe.finish()
        try:
            end: Exit = self.leader.ended.result()
        except OSError as error:
            return ProgramError(f"cannot start: {error.strerror}")
        except ProgramError as error:
            return error
        return ProgramError(Finished(code=end.code, tail=bytes(self._tail)).told(" before it answered"))


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


_pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[dict[object, Lasting], AsyncGenerator[None]]]
_pools = weakref.WeakKeyDictionary()


async def lasting(owner: object, program: Program, size: int) -> Lasting:
    """The running event loop's own processes of one program, by their owner, who is kept; closed with the loop."""
    loop = asyncio.get_running_loop()
    found = _pools.get(loop)
    if found is None:
        await link()  # what is opened later is closed sooner
        pools: dict[object, Lasting] = {}
        found = _pools[loop] = (pools, _closing(pools))
        await anext(found[1])
    if owner not in found[0]:
        found[0][owner] = Lasting(program, size)
    return found[0][owner]


async def _closing(pools: dict[object, Lasting]) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        for pool in pools.values():
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                pool.close()
