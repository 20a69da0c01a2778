"""What happened over time, for charts."""

from __future__ import annotations

from typing import Any

from penstock.api import show
from penstock.api.answer import Answer, ok
from penstock.api.call import Call
from penstock.client import history
from penstock.core.history import SPANS, RollUp
from penstock.core.states import FAILURE, RETRY, REVOKED, SUCCESS


async def get(call: Call) -> Answer:
    """GET /stats."""
    span = SPANS[call["span"]]
    found = await history.read(call.site.backends, span, call.site.clock())
    return ok(
        {
            "span": span.name,
            "step": span.step,
            "items": [_item(start, rollup) for start, rollup in found],
            "whole": _measures(_sum([rollup for _, rollup in found])),
        }
    )


def _item(start: int, rollup: RollUp) -> dict[str, Any]:
    queues = {name: {"ready": depth.ready, "oldest": depth.oldest} for name, depth in sorted(rollup.queues.items())}
    return {"at": show.moment(start), **_measures(rollup), "queues": queues}


def _measures(rollup: RollUp) -> dict[str, Any]:
    ended = rollup.ended
    return {
        "success": ended.get(SUCCESS, 0),
        "failure": ended.get(FAILURE, 0),
        "retry": ended.get(RETRY, 0),
        "revoked": ended.get(REVOKED, 0),
        **{name: rollup.percentile(share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))},
    }


def _sum(rollups: list[RollUp]) -> RollUp:
    whole = RollUp()
    for each in rollups:
        whole.merge(each)
    return whole
