"""Filters, pages and counts: walks along an index, newest first, in portions that do not hold the server up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from penstock.core import search
from penstock.core.encoding import dumps
from penstock.core.record import Filter, Page, Record, Tally
from penstock.core.states import ALL, FAILURE, RECEIVED, RETRY, REVOKED, STARTED
from penstock.core.step import Step
from penstock.drivers.redis import Redis
from penstock.drivers.redis.transaction import Answer, Transaction

#: states that few are in have an index of their own
_INDEXED: Final = frozenset({RECEIVED, STARTED, RETRY, FAILURE, REVOKED})
#: records looked at in one call
_PORTION: Final = 1000


@dataclass(frozen=True, slots=True)
class _Portion:
    """What one call has looked at."""

    found: list[tuple[int, str]]  #: number and id of each record that matches, but for the text
    last: int | None  #: the number of the last record looked at; None at the end
    reached: float | None  #: when that one was created


@dataclass(frozen=True, slots=True)
class Listing:
    """What a filter means."""

    driver: Redis
    get: Callable[[Sequence[str]], Step[dict[str, Record]]]
    which: Filter

    async def page(self, limit: int, before: int | None) -> Page:
        """Records newest first, those numbered below `before`, of a stretch unless nothing is looked at in vain."""
        last = reached = None
        if search.by_state_only(self.which):
            found = [
                each for index, states in self._walks() for each in await self._newest(index, states, limit + 1, before)
            ]
            found.sort(reverse=True)
        else:
            found, last, reached = await self._stretch(limit + 1, before)
        ids = [task_id for _, task_id in found[:limit]]
        records = await self.get(ids)
        items = [records[task_id] for task_id in ids if task_id in records]
        if len(found) > limit:
            return Page(items, str(found[limit - 1][0]))
        return Page(items, None if last is None else str(last), reached)

    async def tally(self, before: int | None) -> Tally:
        """How many match of the stretch from below `before`."""
        found, last, reached = await self._stretch(None, before)
        return Tally(len(found), None if last is None else str(last), reached)

    async def count(self, at_most: int) -> int:
        """How many records match, up to `at_most`."""
        if search.by_state_only(self.which):
            return min(at_most, await self._in_states(self.which.states or ALL))
        number = 0
        for index, _ in self._walks():
            async for _ in self._walk(index, None):
                number += 1
                if number >= at_most:
                    return number
        return number

    async def oldest(self) -> float | None:
        """When the first record that matches was created. Walks are newest first, and so go to their ends."""
        first: tuple[int, str] | None = None
        for index, _ in self._walks():
            async for each in self._walk(index, None):
                first = each if first is None else min(first, each)
        found = await self.get([first[1]]) if first is not None else {}
        return next((record.created_at for record in found.values()), None)

    def _walks(self) -> list[tuple[str, Sequence[str]]]:
        """The indices to walk along, and the states that each is asked for."""
        states = list(dict.fromkeys(self.which.states))
        if states and _INDEXED.issuperset(states):
            return [(f"in:{state}", [state]) for state in states]
        return [("tasks", states)]

    async def _newest(self, index: str, states: Sequence[str], limit: int, before: int | None) -> list[tuple[int, str]]:
        """The newest along one index. A walk for a few does not go on to the end when all of them are found."""
        there = await self._in_states(states) if states else None
        most = limit if there is None or before is not None else min(limit, there)
        found: list[tuple[int, str]] = []
        if there != 0:
            async for each in self._walk(index, before):
                found.append(each)
                if len(found) >= most:
                    break
        return found

    async def _in_states(self, states: Iterable[str]) -> int:
        names = sorted(ALL.intersection(states))
        if not names:
            return 0

        def work(transaction: Transaction) -> Answer:
            place = transaction.do("counts", *names)
            return lambda replies: sum(max(0, int(number or 0)) for number in replies[place])

        number: int = await self.driver.step(work)
        return number

    async def _walk(self, index: str, before: int | None) -> AsyncIterator[tuple[int, str]]:
        """Number and id of each record that matches."""
        async for portion in self._portions(index, before):
            for each in portion.found:
                yield each

    async def _stretch(
        self, limit: int | None, before: int | None
    ) -> tuple[list[tuple[int, str]], int | None, float | None]:
        """The newest that match; the last one looked at if it has to be led on from there, and when it was created.

        A walk ends early where it has found `limit`: then there are so many in all, and nobody asks for the rest.
        """
        found: list[tuple[int, str]] = []
        ends: list[tuple[int, float]] = []
        for index, states in [("tasks", ())] if self.which.text else self._walks():
            if states and not await self._in_states(states):
                continue
            some, end = await self._look(index, limit, before)
            found += some
            ends += [end] if end is not None else []
        last, reached = max(ends, default=(None, None))
        return sorted((each for each in found if last is None or each[0] >= last), reverse=True), last, reached

    async def _look(
        self, index: str, limit: int | None, before: int | None
    ) -> tuple[list[tuple[int, str]], tuple[int, float] | None]:
        """The part of a stretch along one index; number and creation of the last one looked at, None at the end."""
        found: list[tuple[int, str]] = []
        looked = 0
        async for portion in self._portions(index, before):
            found += await self._searched(portion.found) if self.which.text else portion.found
            looked += min(_PORTION, search.stretch(self.which))
            if looked >= search.stretch(self.which) or (limit is not None and len(found) >= limit):
                return found, None if portion.last is None else (portion.last, portion.reached or 0.0)
        return found, None

    async def _portions(self, index: str, before: int | None) -> AsyncIterator[_Portion]:
        """What is found along an index, call by call."""
        conditions, most = _conditions(self.which), min(_PORTION, search.stretch(self.which))
        below: str | int | None = "+inf" if before is None else before
        while below is not None:

            def work(transaction: Transaction, below: str | int = below) -> Answer:
                place = transaction.do("walk", index, below, most, conditions)
                return lambda replies: replies[place]

            last, reached, *rest = await self.driver.step(work)
            some = [(int(number), name.decode()) for name, number in zip(rest[::2], rest[1::2], strict=True)]
            portion = _Portion(some, int(last), float(reached or 0)) if last else _Portion(some, None, None)
            yield portion
            below = portion.last

    async def _searched(self, some: list[tuple[int, str]]) -> list[tuple[int, str]]:
        if not some:
            return some
        wanted = search.forms(self.which.text)
        records = await self.get([task_id for _, task_id in some])
        return [each for each in some if each[1] in records and search.found(wanted, records[each[1]])]


def _conditions(which: Filter) -> bytes:
    given: dict[str, Any] = {
        "states": which.states, "tasks": which.tasks, "queues": which.queues, "workers": which.workers,
    }  # fmt: skip
    found: dict[str, Any] = {name: list(values) for name, values in given.items() if values}
    bounds = {"since": which.since, "until": which.until, "due_after": which.due_after, "due_by": which.due_by}
    if which.unconfirmed:
        found["unconfirmed"] = True
    return dumps(found | {name: value for name, value in bounds.items() if value is not None})
