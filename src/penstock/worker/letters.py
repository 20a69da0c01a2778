"""The mailbox: letters to this worker, forwarded to its children, and their answers sent to whoever asks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection
from typing import Any

from penstock.client import letters
from penstock.client.backends import Backends
from penstock.core.record import Command
from penstock.worker.errands import Errands
from penstock.worker.kin import Kin
from penstock.worker.links import Note
from penstock.worker.monitor import Monitor
from penstock.worker.patience import Patience

log = logging.getLogger("penstock.worker.letters")

PATIENCE = 2.0  #: seconds that the children have to answer
SAFETY = 5.0  #: seconds after which the box is looked into although nothing woke us


class Letters:
    """Reads one worker's mailbox."""

    def __init__(
        self, backends: Backends, worker: str, kin: Kin, monitor: Monitor, send: Callable[[Note], None]
    ) -> None:
        self.backends = backends
        self.worker = worker
        self.kin = kin
        self.monitor = monitor
        self.send = send
        self._asked: dict[str, _Asked] = {}
        self._looking: asyncio.Task[None] | None = None
        self._errands = Errands()

    async def run(self) -> None:
        """Take letters until cancelled."""
        patience = Patience("reading letters", log)
        watch = self.backends.results.mailbox.watch(self.worker)
        try:
            while True:
                self._looking = asyncio.create_task(patience.run(self._look))
                await asyncio.shield(self._looking)  # cut off in the middle, letters would be taken and forgotten
                await patience.run(lambda: watch.wait(SAFETY))
        finally:
            await watch.close()

    async def finish(self) -> None:
        """The children are gone: answer every letter that has come with what they said; return when that is done."""
        if self._looking is not None:
            await self._looking
        await self._look()
        for asked in self._asked.values():
            asked.enough.set()
        await self._errands.done()

    async def _look(self) -> None:
        for letter in await self.backends.results.mailbox.take(self.worker):
            self._errands.send(self._deal(letter))

    def answered(self, note: Note) -> None:
        """A child answered."""
        asked = self._asked.get(note["answer"])
        if asked is not None:
            asked.take(note["pid"], note["result"])

    async def _deal(self, letter: Command) -> None:
        task_ids = letter.arguments.get("task_ids", ())
        log.info("letter: %s %s", letter.method, f"{len(task_ids)} tasks" if len(task_ids) > 1 else "".join(task_ids))
        if letter.method == "shutdown":
            self.send({"shutdown": True})
            asked = _Asked(0)
        else:
            asked = await self._ask(letter)
        if letter.method == "cancel" and letter.arguments.get("terminate"):
            for task_id in asked.missing:
                self.monitor.terminate(task_id)
        await self._answer(letter, asked)

    async def _ask(self, letter: Command) -> _Asked:
        """Forward a letter to all children; wait until all answered, or to a cancellation those that have the tasks."""
        asked = self._asked[letter.id] = _Asked(len(self.kin.kids), letter.arguments.get("task_ids", ()))
        self.send({"letter": letter.id, "method": letter.method, "arguments": letter.arguments})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await asked.enough.wait()
        del self._asked[letter.id]
        return asked

    async def _answer(self, letter: Command, asked: _Asked) -> None:
        value = {"children": {str(pid): answer for pid, answer in asked.answers.items()}, "silent": asked.silent}
        await Patience("answering a letter", log).run(lambda: letters.answer(self.backends, letter, value))


class _Asked:
    """The answers to one letter."""

    def __init__(self, children: int, task_ids: Collection[str] = ()) -> None:
        self.answers: dict[int, Any] = {}
        self.enough = asyncio.Event()
        self._children = children
        self.missing = set(task_ids)  #: tasks that no answer was about; without one left, answers are enough
        if not children:
            self.enough.set()

    @property
    def silent(self) -> int:
        """How many children have not answered."""
        return max(0, self._children - len(self.answers))

    def take(self, pid: int, answer: Any) -> None:
        self.answers[pid] = answer
        about = bool(self.missing)
        self.missing.difference_update(answer if about else ())
        if len(self.answers) >= self._children or (about and not self.missing):
            self.enough.set()
