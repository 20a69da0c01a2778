"""The shop of the API's tests with a dashboard in front of it, and a visitor who keeps cookies."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx

from penstock.dashboard.application import create
from tests.unit.api.shop import Shop

HOST = "http://localhost"


class Front(Shop):
    """A shop whose pages are visited as a browser would."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.api = create(self.app, self.backends)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.api), base_url=HOST)

    async def page(self, path: str, status: int = 200) -> str:
        """The text of a page."""
        answer = await self.client.get(f"/ui{path}")
        assert answer.status_code == status, answer.text
        return answer.text

    async def send(self, path: str, status: int = 303, /, **fields: str | list[str]) -> httpx.Response:
        """Send a form."""
        answer = await self.client.post(f"/ui{path}", data=fields, headers={"origin": HOST})
        assert answer.status_code == status, answer.text
        return answer

    async def follow(self, answer: httpx.Response) -> str:
        """The text of the page that an answer leads to."""
        place = answer.headers["location"]
        assert place.startswith("/ui")
        return await self.page(place.removeprefix("/ui"))


def fields(page: str, action: str) -> dict[str, list[str]]:
    """The hidden fields of the form on a page that goes to `action`."""
    form = re.search(rf'<form method="post" action="/ui{re.escape(action)}">(.*?)</form>', page, re.DOTALL)
    assert form, page
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', form[1]):
        found.setdefault(name, []).append(html.unescape(value))
    return found
