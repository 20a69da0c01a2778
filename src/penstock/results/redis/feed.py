"""Reading the feed: a stream of commits, each with its lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from penstock.core.record import Change, Excerpt
from penstock.drivers.redis.transaction import Answer, Transaction
from penstock.results.redis.rows import Entry

#: what a step's work is
Work = Callable[[Transaction], Answer]


def changes(after: int | None, limit: int) -> Work:
    """The lines after a number; None: the newest."""

    def work(transaction: Transaction) -> Answer:
        place = transaction.do("feed", "" if after is None else after, limit)

        def answer(replies: list[Any]) -> list[Change]:
            if after is None:
                entries = [Entry(raw) for raw in replies[place][1:]]
                return [line for entry in entries for line in entry.changes([entry.last])]
            stretches = _stretches(replies[place], after, limit)
            return [line for entry, seqs in stretches for line in entry.changes(seqs)]

        return answer

    return work


def excerpt(wanted: frozenset[str], after: int, limit: int) -> Work:
    """The lines after a number that are about some tasks."""

    def work(transaction: Transaction) -> Answer:
        place = transaction.do("feed", after, limit)

        def answer(replies: list[Any]) -> Excerpt:
            found, upto, lines = [], after, 0
            for entry, seqs in _stretches(replies[place], after, limit):
                first = entry.seqs()[0]
                found += entry.changes([seq for seq in seqs if entry.ids[seq - first] in wanted])
                upto, lines = seqs[-1], lines + len(seqs)
            return Excerpt(found, upto, lines)

        return answer

    return work


def _stretches(reply: Sequence[Any], after: int, limit: int) -> Iterator[tuple[Entry, Sequence[int]]]:
    """Each entry with the numbers of its lines that are meant."""
    above = max(after, int(reply[0]))
    for raw in reply[1:]:
        entry = Entry(raw)
        seqs = [seq for seq in entry.seqs() if seq > above][:limit]
        limit -= len(seqs)
        if seqs:
            yield entry, seqs
