"""/health/live and /health/ready: for load balancers and orchestrators, without a key.

Live means that the event loop answers. Ready means that broker and result backend answered within two seconds.
"""

from __future__ import annotations

from penstock.api import problems
from penstock.api.answer import Answer, ok
from penstock.api.call import Call
from penstock.api.problems import Problem
from penstock.api.pulse import FINE


async def live(call: Call) -> Answer:  # noqa: ARG001  (a handler)
    """GET /health/live."""
    return ok({"status": "live"})


async def ready(call: Call) -> Answer:
    """GET /health/ready."""
    checks = await call.site.pulse.checks()
    if any(verdict != FINE for verdict in checks.values()) or call.site.closing:
        wrong = {name: verdict for name, verdict in checks.items() if verdict != FINE}
        detail = "; ".join(f"{name}: {verdict}" for name, verdict in wrong.items()) or "shutting down"
        headers = problems.retry_after(1)
        raise Problem(problems.UNAVAILABLE, detail, headers=headers, errors=problems.faults(wrong))
    return ok({"status": "ready", "checks": checks})
