"""Statements made of parts: what several steps do goes to the server as one statement, in one round trip.

A part is `WITH … SELECT …` (a remark may come first), of which the SELECT that answers begins a line. It answers with
one row, whose column `well` tells whether all went well; only the last kind answers with any number of rows, and these
alone are sent: the first column is never NULL. Parts of a statement see the tables as they were before it, so only such
are joined as touch different rows: each kind at most once.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from penstock.core.step import Driver, Step

#: the kinds of parts, in the order of their places in a statement
KINDS: Final = ("record", "publish", "settle", "claim")
#: the SQLSTATEs of a statement of which a part did not go well (a row is there; insist), so that nothing was changed
REFUSED: Final = frozenset({"23505", "PN001"})

_PARAMETER: Final = re.compile(r"\$(\d+)")
# Whoever sleeps holds a topic's shared lock; having taken it, he waited at the gate for all who were writing to commit.
# So either he is found here, or he sees what is written here. One stands in the gate only while his statement runs.
_ROUSED: Final = """SELECT count(*) FILTER (WHERE CASE
    WHEN pg_advisory_xact_lock_shared(gate) IS NULL THEN false
    WHEN pg_try_advisory_lock(key) THEN NOT pg_advisory_unlock(key)
    ELSE pg_notify(channel, '') IS NOT NULL END)::int AS woken
FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS asked (channel, key, gate)"""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that can be a part, and its kind."""

    kind: str
    text: str


class Part(Step[Any]):
    """A step that is one statement, if all goes well.

    `answer` makes of the rows what the step returns, and may ask for more; there are none of kinds that answer with one
    row. `work` is for where it does not go well, and for company that cannot be joined.
    """

    __slots__ = ("answer", "given", "statement")

    def __init__(
        self,
        driver: Driver,
        statement: Statement,
        given: Sequence[Any],
        answer: Callable[[Any, Sequence[Sequence[Any]]], Awaitable[Any]],
        *,
        work: Callable[[Any], Awaitable[Any]] | None = None,
        wakes: str = "",
        plain: Callable[[], str] | None = None,
    ) -> None:
        super().__init__(driver, work or self._alone, wakes, plain)
        self.statement = statement
        self.given = given
        self.answer = answer

    async def _alone(self, session: Any) -> Any:
        return await self.answer(session, await session.rows(self.statement.text, *self.given))


class Whole:
    """One statement for several parts."""

    def __init__(self, parts: Sequence[Part], schema: str) -> None:
        self._parts = parts
        self._ordered = sorted(parts, key=lambda part: KINDS.index(part.statement.kind))
        self.text = _joined(schema, tuple(part.statement for part in self._ordered))

    def given(self, channels: Sequence[str], keys: Sequence[int], gates: Sequence[int]) -> list[Any]:
        """The parameters, with the channels, locks and gates of those who may sleep."""
        return [channels, keys, gates, *(value for part in self._ordered for value in part.given)]

    async def answers(self, session: Any, rows: Sequence[Sequence[Any]]) -> tuple[int, list[Any]]:
        """How many were woken, and the answers of the parts; an error stands for itself, as all of it is committed."""
        told = [row[1:] for row in rows] if len(rows[0]) > 1 and rows[0][1] is not None else []
        answers: list[Any] = []
        for part in self._parts:
            try:
                answers.append(await part.answer(session, told if part.statement.kind == KINDS[-1] else ()))
            except Exception as error:  # whatever it is, it is that part's alone
                answers.append(error)
        return rows[0][0], answers


def whole(steps: Sequence[Step[Any]], schema: str) -> Whole | None:
    """One statement for all of these steps; None where there is none."""
    parts = [step for step in steps if isinstance(step, Part)]
    if len(parts) < len(steps) or len({part.statement.kind for part in parts}) < len(parts):
        return None
    return Whole(parts, schema)


@cache
def _joined(schema: str, statements: Sequence[Statement]) -> str:
    tables, several, used = [], "", _parameters(_ROUSED)
    single = [f"({_ROUSED}) AS roused"]
    for each in statements:
        shifted = _PARAMETER.sub(lambda found, by=used: f"${int(found[1]) + by}", each.text)  # type: ignore[misc]
        head, _, answer = shifted.rpartition("\nSELECT ")
        tables.append(head.partition("WITH ")[2])
        if each.kind == KINDS[-1]:
            several = f" LEFT JOIN (SELECT {answer}) AS {each.kind} ON true"
        else:
            single.append(f"(SELECT {answer}) AS {each.kind}")
        used += _parameters(each.text)
    well = " AND ".join(f"{each.kind}.well" for each in statements if each.kind != KINDS[-1]) or "true"
    woken = f"SELECT CASE WHEN {schema}.insist({well}) THEN woken END AS woken FROM {', '.join(single)}"  # noqa: S608 - of our own files
    return f"WITH {', '.join(tables)}\nSELECT * FROM ({woken}) AS parts{several}"


def _parameters(text: str) -> int:
    return max(int(number) for number in _PARAMETER.findall(text))
