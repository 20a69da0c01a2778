"""One request for a page: who asks, what for, and the ways to answer."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.types import Receive, Scope, Send

from penstock.api.answer import Answer, Content, Nothing
from penstock.api.application import Application
from penstock.api.call import SLASH
from penstock.api.keys import ANYONE, Key, session
from penstock.dashboard import view
from penstock.dashboard.asking import Asking, Pairs, Refused, at

UI = "/ui"
FLASH = "penstock-said"  #: the cookie that carries one line to the next page
MOST = 12_000_000  # bytes of a form: one for the largest body that the API takes by default, and its escapes
SESSION = 7 * 86400.0  # seconds

Handler = Callable[["Visit"], Awaitable[Answer]]

#: Nothing but our own files, and forms that go nowhere else: what text slips through cannot do anything.
POLICY = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'"
)


class Visit:
    """What a page gets. `key` is whose it is; before the session is known it is everybody's, and asks nothing."""

    def __init__(self, application: Application, scope: Scope, receive: Receive) -> None:
        self.application = application
        self.site = application.site
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        self.path: str = scope["path"].removeprefix(UI)
        self.head: dict[bytes, bytes] = dict(scope["headers"])
        self.query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        self.names: dict[str, str] = {}  #: parts of the path
        self.key: Key = ANYONE
        self.cookies = _cookies(self.head.get(b"cookie", b""))
        self.now: float = self.site.clock()
        self.asking = Asking(application, self.head)
        self._set: list[tuple[bytes, bytes]] = []

    def read_names(self, found: Mapping[str, str]) -> dict[str, str]:
        """Parts of the path, with the slashes that were escaped in them."""
        return {name: part.replace(SLASH, "/") for name, part in found.items()}

    # ------------------------------------------------------------------------------------------------------- asking

    async def ask(self, method: str, path: str, query: Pairs = (), content: Any = None) -> Any:
        """What the API answers. Raises Refused."""
        return await self.asking(self.key, method, path, query, content)

    async def get(self, path: str, query: Pairs = ()) -> Any:
        return await self.ask("GET", path, query)

    async def task(self, task_id: str) -> dict[str, Any] | None:
        """A task; None if its record is no longer kept. Raises Refused."""
        try:
            found: dict[str, Any] = await self.get(at("tasks", task_id))
        except Refused as refusal:
            if refusal.status != 404:
                raise
            return None
        return found

    def may(self, scope: str) -> bool:
        return scope in self.key.scopes

    def given(self, name: str) -> str:
        """A query parameter; "" if it is not given."""
        return next((value for key, value in self.query if key == name), "")

    async def form(self) -> list[tuple[str, str]]:
        """The fields of a form that was sent here."""
        parts, size, more = [], 0, True
        while more:
            message = await self.receive()
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size > MOST:
                raise Refused(413, {"title": "Too large", "detail": f"the form is larger than {MOST} bytes"})
            parts.append(part)
        return parse_qsl(b"".join(parts).decode("latin-1"), keep_blank_values=True, encoding="utf-8")

    # ---------------------------------------------------------------------------------------------------- answering

    def page(self, template: str, status: int = 200, **context: Any) -> Content:
        """A page from its template. One that leads on by itself (`further`) says once more what the next has to say."""
        said = self._said(again=bool(context.get("further")))
        text = view.render(
            template,
            app=self.site.app.name,
            now=self.now,
            here=self.path,
            may=self.may,
            keys=bool(self.site.keyring.keys),
            signed_in=self.key.number > 0,
            said=said,
            **context,
        )
        headers = [(b"content-security-policy", POLICY), (b"referrer-policy", b"same-origin"), *self._set]
        return Content(status, text.encode("utf-8", "replace"), b"text/html; charset=utf-8", headers)

    def plain(self, text: str) -> Content:
        """A long text as it is, which no browser takes for anything else."""
        headers = [(b"content-security-policy", b"default-src 'none'; sandbox")]
        return Content(200, text.encode("utf-8", "replace"), b"text/plain; charset=utf-8", headers)

    def refused(self, refusal: Refused) -> Content:
        """The page that tells of a problem."""
        return self.page("problem.html", refusal.status, problem=refusal)

    def to(self, path: str, query: Pairs = (), said: str = "", fault: bool = False) -> Nothing:
        """Lead to another page below /ui, which says `said`."""
        if said:
            line = base64.urlsafe_b64encode(msgspec.json.encode([fault, said[:500]])).decode()
            self.set_cookie(FLASH, line, 60)
        query = list(query)
        location = UI + path + (f"?{urlencode(query)}" if query else "")
        return Nothing(303, [(b"location", location.encode("ascii")), *self._set])

    async def act(
        self, method: str, path: str, back: str, said: str, *, query: Pairs = (), content: Any = None
    ) -> Answer:
        """Let the API do something, then lead back to a page that tells what came of it.

        `said` may name members of the answer in braces.
        """
        try:
            found = await self.ask(method, path, query, content)
        except Refused as refusal:
            if refusal.status in {401, 403}:
                raise
            return self.to(back, said=f"{refusal.title}: {refusal.detail}", fault=True)
        return self.to(back, said=said.format_map(found or {}))

    # ------------------------------------------------------------------------------------------------------- cookies

    def sign_in(self, name: str, key: Key) -> None:
        self.set_cookie(name, session(key, self.now + SESSION), SESSION)

    def set_cookie(self, name: str, value: str, seconds: float) -> None:
        """A cookie for this dashboard only, which no script can read. No seconds: it is to be thrown away."""
        secure = (
            "; Secure" if self.head.get(b"x-forwarded-proto") == b"https" or self.scope["scheme"] == "https" else ""
        )
        text = f"{name}={value}; Path={UI}; Max-Age={int(seconds)}; HttpOnly; SameSite=Strict{secure}"
        self._set.append((b"set-cookie", text.encode("ascii")))

    def _said(self, *, again: bool) -> tuple[bool, str] | None:
        """What the page before had to say."""
        given = self.cookies.get(FLASH)
        if given is None:
            return None
        if not again:
            self.set_cookie(FLASH, "", 0)
        try:
            fault, text = msgspec.json.decode(base64.urlsafe_b64decode(given), type=tuple[bool, str])
        except ValueError:  # somebody else's cookie, or a cut one
            return None
        return fault, text


async def live(visit: Visit) -> Answer:
    """GET /ui/live: the API's digest of events, for this session."""
    return _Passed(visit)


class _Passed:
    """An answer that the API gives itself."""

    status = 200

    def __init__(self, visit: Visit) -> None:
        self.visit = visit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  (ASGI)
        visit = self.visit
        asked = visit.asking.scope(visit.key, "GET", "/events/digest")
        if b"last-event-id" in visit.head:
            asked["headers"] = [*asked["headers"], (b"last-event-id", visit.head[b"last-event-id"])]
        await visit.application(asked, receive, send)


def _cookies(header: bytes) -> dict[str, str]:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(header.decode("latin-1"))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in jar.items()}
