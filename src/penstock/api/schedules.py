"""Schedules: which there are and when each is due next; pausing them, and running one now."""

from __future__ import annotations

from penstock.api import problems, show
from penstock.api.answer import Answer, ok
from penstock.api.call import Call
from penstock.api.orders import Order
from penstock.api.problems import Problem
from penstock.api.submit import submitted
from penstock.core.errors import NotFound
from penstock.core.schedule import ScheduleEntry


async def listing(call: Call) -> Answer:
    """GET /schedules."""
    entries = await call.site.backends.results.schedules.all()
    return ok({"items": [show.schedule(entry) for entry in entries], "next": None})


async def get(call: Call) -> Answer:
    """GET /schedules/{name}."""
    return ok(show.schedule(await _entry(call)))


async def change(call: Call) -> Answer:
    """PATCH /schedules/{name}: pause or resume it."""
    content = call.decoded(await call.body())
    if not isinstance(content, dict) or content.keys() != {"paused"} or not isinstance(content["paused"], bool):
        fault = {"paused": "expected true or false, and nothing else"}
        raise Problem(problems.INVALID_OPTIONS, '{"paused": true} is expected', errors=problems.faults(fault))
    if not await call.site.backends.results.schedules.pause(call["name"], content["paused"]):
        raise _unknown(call)
    return await get(call)


async def run(call: Call) -> Answer:
    """POST /schedules/{name}/run."""
    plan = (await _entry(call)).schedule
    return await submitted(call, Order(plan.task, list(plan.args), dict(plan.kwargs), dict(plan.options)))


async def _entry(call: Call) -> ScheduleEntry:
    entries = await call.site.backends.results.schedules.all()
    found = next((entry for entry in entries if entry.schedule.name == call["name"]), None)
    if found is None:
        raise _unknown(call)
    return found


def _unknown(call: Call) -> NotFound:
    return NotFound(f"there is no schedule {call['name']!r}")
