"""Which records a filter means."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penstock.core import search
from penstock.core.record import Filter, Record


def matcher(which: Filter) -> Callable[[Record], bool]:
    """Whether a record matches every given field."""
    wanted = search.forms(which.text) if which.text else []

    def matches(record: Record) -> bool:
        return (
            _among(record.state, which.states)
            and _among(record.task, which.tasks)
            and _among(record.queue, which.queues)
            and _among(record.worker, which.workers)
            and (which.since is None or record.created_at >= which.since)
            and (which.until is None or record.created_at < which.until)
            and (which.due_after is None or (record.eta is not None and record.eta > which.due_after))
            and (which.due_by is None or record.eta is None or record.eta <= which.due_by)
            and not (which.unconfirmed and record.confirmed)
            and (not wanted or search.found(wanted, record))
        )

    return matches


def _among(value: str, given: Sequence[str]) -> bool:
    return not given or value in given
