"""Workers: who is there, and questions to them through their mailboxes."""

from __future__ import annotations

from penstock.api import show
from penstock.api.answer import Answer, accepted, ok
from penstock.api.call import Call
from penstock.client import letters


async def listing(call: Call) -> Answer:
    """GET /workers."""
    workers = await call.site.backends.results.workers.all()
    return ok({"items": [show.worker(info) for info in workers], "next": None})


async def ping(call: Call) -> Answer:
    """POST /workers/{name}/ping."""
    return ok(await _asked(call, "ping"))


async def stacks(call: Call) -> Answer:
    """POST /workers/{name}/stacks."""
    return ok(await _asked(call, "stacks"))


async def shutdown(call: Call) -> Answer:
    """POST /workers/{name}/shutdown."""
    return accepted(await _asked(call, "shutdown"))


async def _asked(call: Call, method: str) -> dict[str, object]:
    answer = await letters.ask(call.site.backends, call["name"], method, timeout=call["timeout"])
    return {"worker": call["name"], "answer": answer}
