"""/openapi.json and /docs: the route table and the known tasks, for programs and for people."""

from __future__ import annotations

from penstock.api import openapi as description
from penstock.api import pages
from penstock.api.answer import Answer, Content, Nothing, ok
from penstock.api.call import Call
from penstock.core.version import version

#: The page needs nothing but its own style: no script, no other host.
POLICY = b"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


async def openapi(call: Call) -> Answer:
    """GET /openapi.json."""
    tasks = await call.site.tasks.all()
    keys = bool(call.site.keyring.keys)
    return ok(description.document(call.site.routes, call.site.app.name, version(), tasks, keys=keys))


async def page(call: Call) -> Answer:
    """GET /docs."""
    tasks = await call.site.tasks.all()
    text = pages.documentation(call.site.routes, call.site.app.name, version(), tasks)
    headers = [(b"content-security-policy", POLICY)]
    return Content(200, text.encode(), b"text/html; charset=utf-8", headers)


async def home(call: Call) -> Answer:
    """GET /."""
    return Nothing(307, [(b"location", call.site.home.encode())])
