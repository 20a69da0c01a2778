"""Every status that the route table promises is really given: one request for each, and none is left out.

What all routes share (a key that is missing, a store that is away …) is produced for each route in the same way; the
rest is written down below. A status that is added to the table without a way to get it fails here.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import httpx
import pytest

from penstock.api import application, routes
from penstock.api.route import Route
from penstock.client import letters
from penstock.core.record import DeadLetter
from penstock.core.schedule import Schedule
from tests.unit.api.shop import WORKER, Shop
from tests.unit.api.test_operating import answering, letter

SECRET = "the-secret-of-these-tests"
KEY = {"X-API-Key": SECRET}
Way = Callable[[Shop], Coroutine[Any, Any, httpx.Response]]

PLACES = {"task": "t", "letter_id": "d1", "name": "n"}


def address(route: Route) -> str:
    return route.path.format(**PLACES)


async def ask(shop: Shop, route: Route, **request: Any) -> httpx.Response:
    """A request that is as good as it can be without knowing what the route is for."""
    headers = {**KEY, **request.pop("headers", {})}
    if route.path == "/tasks" and route.method == "POST":
        request.setdefault("json", {"task": "nothing"})
    if route.method == "PATCH":
        request.setdefault("json", {"paused": True})
    query = "?all=true" if "all" in route.query else ""
    path = address(route).replace("/tasks/t", "/tasks/nothing") if route.scope == "submit" else address(route)
    return await shop(route.method, request.pop("path", path) + query, headers=headers, **request)


async def bad_request(shop: Shop, route: Route) -> httpx.Response:
    return await shop(route.method, address(route), params={"nonsense": "1"}, headers=KEY)


async def no_key(shop: Shop, route: Route) -> httpx.Response:
    return await shop(route.method, address(route))


async def foreign(shop: Shop, route: Route) -> httpx.Response:
    return await shop(route.method, address(route), headers={**KEY, "host": "evil.example"})


async def form(shop: Shop, route: Route) -> httpx.Response:
    headers = {**KEY, "content-type": "text/plain"}
    return await shop(route.method, address(route), content=b"x=1", headers=headers)


async def huge(shop: Shop, route: Route) -> httpx.Response:
    assert route.body is not None
    headers = {**KEY, "content-type": next(iter(route.body.types))}
    return await shop(route.method, address(route), content=b"x" * 4001, headers=headers)


async def again_and_again(shop: Shop, route: Route) -> httpx.Response:
    shop.api.drain()  # or a stream would go on
    for _ in range(3):
        answer = await ask(shop, route)
    return answer


async def outage(shop: Shop, route: Route) -> httpx.Response:
    shop.cut_off()
    return await ask(shop, route)


async def bug(shop: Shop, route: Route) -> httpx.Response:
    return await ask(shop, route)


SHARED: dict[int, Callable[[Shop, Route], Awaitable[httpx.Response]]] = {
    400: bad_request,
    401: no_key,
    403: foreign,
    413: huge,
    415: form,
    429: again_and_again,
    500: bug,
    503: outage,
}


async def ended(shop: Shop, task_id: str = "t", error: Exception | None = None) -> None:
    submission = shop.app.prepare("nothing", options={"task_id": task_id})
    await shop.api.site.submitter.submit([submission])
    await shop.work(error)


async def waiting(shop: Shop) -> None:
    await shop.api.site.submitter.submit([shop.app.prepare("nothing", options={"task_id": "t"})])


async def dead(shop: Shop, **more: Any) -> None:
    letters_: list[DeadLetter] = [letter(1, **more)]
    await shop.backends.results.dead.add(letters_)


async def planned(shop: Shop, **more: Any) -> None:
    plan = Schedule(**{"name": "n", "task": "nothing", "every": 60.0, **more})
    await shop.backends.results.schedules.sync("shop", [plan])


def way(method: str, path: str, before: Callable[[Shop], Awaitable[Any]] | None = None, **request: Any) -> Way:
    """A request after something has been prepared."""

    async def go(shop: Shop) -> httpx.Response:
        if before is not None:
            await before(shop)
        headers = {**KEY, **request.get("headers", {})}
        return await shop(method, path, **{**request, "headers": headers})

    return go


def in_time(method: str, path: str, before: Callable[[Shop], Awaitable[Any]] | None = None, **request: Any) -> Way:
    """A request that waits for its task, and a worker that is quick."""

    async def go(shop: Shop) -> httpx.Response:
        waits = way(method, path, before, **request, headers={"Prefer": "wait=30"})
        asking = asyncio.create_task(waits(shop))
        await shop.until_queued()
        await shop.work()
        return await asking

    return go


def by_worker(method: str) -> Way:
    async def go(shop: Shop) -> httpx.Response:
        await shop.hire()
        worker = asyncio.create_task(answering(shop, {}))
        answer = await shop("POST", f"/workers/{WORKER}/{method}", headers=KEY)
        await worker
        return answer

    return go


def silent_worker(method: str) -> Way:
    async def go(shop: Shop) -> httpx.Response:
        await shop.hire()
        ask_ = letters.ask

        async def impatient(backends: Any, worker: str, method: str, **_: Any) -> Any:
            return await ask_(backends, worker, method, timeout=0.01)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(letters, "ask", impatient)
            return await shop("POST", f"/workers/{WORKER}/{method}", headers=KEY)

    return go


async def running(shop: Shop) -> None:
    await shop.hire()
    await waiting(shop)
    (delivery,) = await shop.claim()
    await shop.start(delivery)


async def seen_to_its_end(shop: Shop) -> httpx.Response:
    await ended(shop)
    (newest,) = await shop.backends.results.records.changes(None)
    return await shop("GET", "/tasks/t/events", headers={**KEY, "Last-Event-ID": str(newest.seq)})


async def closing(shop: Shop) -> None:
    shop.api.drain()


TASK = {"task": "nothing"}
LETTERS = ("ping", "stacks", "shutdown")
WAYS: dict[tuple[str, str, int], Way] = {
    ("POST", "/tasks", 200): in_time("POST", "/tasks", json=TASK),
    ("POST", "/tasks", 202): way("POST", "/tasks", json=TASK),
    ("POST", "/tasks", 404): way("POST", "/tasks", json={"task": "x"}),
    ("POST", "/tasks", 409): way("POST", "/tasks", waiting, json={**TASK, "task_id": "t"}),
    ("POST", "/tasks", 422): way("POST", "/tasks", json={**TASK, "args": [1]}),
    ("POST", "/tasks/{task}", 200): in_time("POST", "/tasks/nothing"),
    ("POST", "/tasks/{task}", 202): way("POST", "/tasks/nothing"),
    ("POST", "/tasks/{task}", 404): way("POST", "/tasks/x"),
    ("POST", "/tasks/{task}", 409): way("POST", "/tasks/nothing?task_id=t", waiting),
    ("POST", "/tasks/{task}", 422): way("POST", "/tasks/nothing", json={"x": 1}),
    ("GET", "/tasks", 200): way("GET", "/tasks"),
    ("GET", "/tasks/{task}", 200): way("GET", "/tasks/t", waiting),
    ("GET", "/tasks/{task}", 404): way("GET", "/tasks/t"),
    ("DELETE", "/tasks/{task}", 200): way("DELETE", "/tasks/t", waiting),
    ("DELETE", "/tasks/{task}", 202): way("DELETE", "/tasks/t?terminate=true", running),
    ("DELETE", "/tasks/{task}", 404): way("DELETE", "/tasks/t"),
    ("DELETE", "/tasks/{task}", 409): way("DELETE", "/tasks/t", ended),
    ("POST", "/tasks/{task}/retry", 202): way(
        "POST", "/tasks/t/retry", lambda shop: ended(shop, error=ValueError())
    ),
    ("POST", "/tasks/{task}/retry", 404): way("POST", "/tasks/t/retry"),
    ("POST", "/tasks/{task}/retry", 409): way("POST", "/tasks/t/retry", ended),
    ("POST", "/tasks/cancel", 200): way("POST", "/tasks/cancel?all=true"),
    ("POST", "/tasks/retry", 200): way("POST", "/tasks/retry?all=true"),
    ("GET", "/tasks/{task}/logs", 200): way("GET", "/tasks/t/logs", ended),
    ("GET", "/tasks/{task}/logs", 404): way("GET", "/tasks/t/logs"),
    ("GET", "/tasks/{task}/events", 200): way("GET", "/tasks/t/events", ended),
    ("GET", "/tasks/{task}/events", 204): seen_to_its_end,
    ("GET", "/tasks/{task}/events", 404): way("GET", "/tasks/t/events"),
    ("GET", "/events", 200): way("GET", "/events", closing),
    ("GET", "/events/digest", 200): way("GET", "/events/digest", closing),
    ("GET", "/queues", 200): way("GET", "/queues"),
    ("POST", "/queues/{name}/pause", 200): way("POST", "/queues/q/pause"),
    ("POST", "/queues/{name}/resume", 200): way("POST", "/queues/q/resume"),
    ("POST", "/queues/{name}/purge", 200): way("POST", "/queues/q/purge"),
    ("POST", "/queues/{name}/messages", 202): way("POST", "/queues/q/messages"),
    ("GET", "/dead", 200): way("GET", "/dead"),
    ("GET", "/dead/{letter_id}", 200): way("GET", "/dead/d1", dead),
    ("GET", "/dead/{letter_id}", 404): way("GET", "/dead/d1"),
    ("DELETE", "/dead/{letter_id}", 204): way("DELETE", "/dead/d1", dead),
    ("DELETE", "/dead/{letter_id}", 404): way("DELETE", "/dead/d1"),
    ("POST", "/dead/{letter_id}/replay", 202): way("POST", "/dead/d1/replay", dead),
    ("POST", "/dead/{letter_id}/replay", 404): way("POST", "/dead/d1/replay"),
    ("POST", "/dead/{letter_id}/replay", 409): way(
        "POST", "/dead/d1/replay", lambda shop: both(waiting(shop), dead(shop, task_id="t"))
    ),
    ("POST", "/dead/replay", 200): way("POST", "/dead/replay?all=true"),
    ("POST", "/dead/discard", 200): way("POST", "/dead/discard?all=true"),
    ("GET", "/workers", 200): way("GET", "/workers"),
    **{("POST", f"/workers/{{name}}/{each}", 404): way("POST", f"/workers/n/{each}") for each in LETTERS},
    **{("POST", f"/workers/{{name}}/{each}", 504): silent_worker(each) for each in LETTERS},
    ("POST", "/workers/{name}/ping", 200): by_worker("ping"),
    ("POST", "/workers/{name}/stacks", 200): by_worker("stacks"),
    ("POST", "/workers/{name}/shutdown", 202): by_worker("shutdown"),
    ("POST", "/tasks/cancel", 409): way("POST", "/tasks/cancel?all&expect=1"),
    ("POST", "/tasks/retry", 409): way("POST", "/tasks/retry?all&expect=1"),
    ("POST", "/dead/replay", 409): way("POST", "/dead/replay?all&expect=1"),
    ("POST", "/dead/discard", 409): way("POST", "/dead/discard?all&expect=1"),
    ("GET", "/schedules", 200): way("GET", "/schedules"),
    ("GET", "/schedules/{name}", 200): way("GET", "/schedules/n", planned),
    ("GET", "/schedules/{name}", 404): way("GET", "/schedules/n"),
    ("PATCH", "/schedules/{name}", 200): way("PATCH", "/schedules/n", planned, json={"paused": True}),
    ("PATCH", "/schedules/{name}", 404): way("PATCH", "/schedules/n", json={"paused": True}),
    ("PATCH", "/schedules/{name}", 422): way("PATCH", "/schedules/n", planned, json={}),
    ("POST", "/schedules/{name}/run", 200): in_time("POST", "/schedules/n/run", planned),
    ("POST", "/schedules/{name}/run", 202): way("POST", "/schedules/n/run", planned),
    ("POST", "/schedules/{name}/run", 404): way("POST", "/schedules/n/run"),
    ("POST", "/schedules/{name}/run", 422): way(
        "POST", "/schedules/n/run", lambda shop: planned(shop, args=(1,))
    ),
    ("GET", "/health/live", 200): way("GET", "/health/live"),
    ("GET", "/health/ready", 200): way("GET", "/health/ready"),
    ("GET", "/stats", 200): way("GET", "/stats?span=7d"),
    ("GET", "/metrics", 200): way("GET", "/metrics"),
    ("GET", "/openapi.json", 200): way("GET", "/openapi.json"),
    ("GET", "/docs", 200): way("GET", "/docs"),
    ("GET", "/", 307): way("GET", "/"),
}  # fmt: skip


async def both(*steps: Awaitable[Any]) -> None:
    for step in steps:
        await step


PROMISED = [(route, status) for route in routes.ROUTES for status in sorted({*route.responses, *route.refusals})]


def shop_for(status: int) -> Shop:
    limits = {"api_rate_limit": "2/h"} if status == 429 else {}
    return Shop(api_keys=(SECRET,), max_body=4000, max_raw_body=4000, **limits)


@pytest.mark.parametrize(
    ("route", "status"), [pytest.param(*each, id=f"{each[0].method} {each[0].path} {each[1]}") for each in PROMISED]
)
async def test_a_status_of_the_table_is_given(route: Route, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if status == 500:

        async def broken(_: object) -> Any:
            raise ZeroDivisionError(SECRET)

        table = tuple(dataclasses.replace(each, handler=broken) for each in routes.ROUTES)
        monkeypatch.setattr(application, "ROUTES", table)
    async with shop_for(status) as shop:
        known = WAYS.get((route.method, route.path, status))
        answer = await (known(shop) if known else SHARED[status](shop, route))
        assert answer.status_code == status, answer.text
        if status >= 400:
            described = answer.json()
            assert answer.headers["content-type"] == "application/problem+json"
            assert described["status"] == status
            assert described["type"].startswith("urn:penstock:problem:")
            assert described["title"]
            assert described["detail"]
            assert SECRET not in answer.text
        elif status not in {204, 307}:
            assert answer.headers["content-type"].startswith(route.responses[status].content_type)


def test_nothing_is_tested_that_the_table_does_not_promise() -> None:
    assert set(WAYS) <= {(route.method, route.path, status) for route, status in PROMISED}


async def test_a_path_or_method_that_does_not_exist_is_a_problem_too() -> None:
    async with Shop() as shop:
        for method, path, status in (
            ("GET", "/nowhere", 404),
            ("GET", "/tasks/", 404),
            ("GET", "/tasks/a%00b", 404),
            ("PUT", "/tasks", 405),
            ("OPTIONS", "/tasks/x", 405),
            ("TRACE", "/queues", 405),
            ("PATCH", "/tasks/cancel", 405),
        ):
            answer = await shop(method, path)
            assert answer.status_code == status, (method, path)
            assert answer.headers["content-type"] == "application/problem+json"
            assert ("allow" in answer.headers) == (status == 405)


async def test_a_tasks_name_can_only_be_submitted() -> None:
    async with Shop() as shop:
        await shop.hire({"shop/ship": {}})
        await shop("GET", "/docs")  # after which the worker's tasks are known
        assert (await shop("PUT", "/tasks/add")).headers["allow"] == "POST"
        assert (await shop("PUT", "/tasks/shop%2Fship")).headers["allow"] == "POST"
        assert (await shop("PUT", "/tasks/some-id")).headers["allow"] == "DELETE, GET, HEAD, POST"
        assert (await shop("PUT", "/tasks/cancel")).headers["allow"] == "POST"


async def test_a_path_that_is_not_utf8_is_400() -> None:
    async with Shop() as shop:
        for path in ("/tasks/%ff", "/tasks/%ED%A0%80/events"):
            answer = await shop("GET", path)
            assert (answer.status_code, answer.json()["detail"]) == (400, "the path is not UTF-8")
        assert (await shop("GET", "/tasks/%EF%BF%BD")).status_code == 404


async def test_a_name_that_is_also_a_path_is_still_a_task_to_look_at() -> None:
    async with Shop() as shop:
        assert await shop.submit(task_id="cancel") == "cancel"
        assert (await shop.show("cancel"))["task_id"] == "cancel"
        assert (await shop("DELETE", "/tasks/cancel")).status_code == 200


async def test_head_is_served_where_get_is() -> None:
    async with Shop() as shop:
        assert (await shop("HEAD", "/queues")).status_code == 200
        assert (await shop("HEAD", "/events")).headers["allow"] == "GET"


async def test_a_key_without_the_scope_is_403() -> None:
    async with Shop(api_keys=(f"{SECRET}=read",)) as shop:
        assert (await shop("GET", "/tasks", headers=KEY)).status_code == 200
        answer = await shop("POST", "/tasks", json=TASK, headers=KEY)
        assert answer.status_code == 403
        assert 'scope="submit"' in answer.headers["www-authenticate"]


async def test_the_limit_is_told_with_every_answer() -> None:
    async with Shop(api_rate_limit="10/m") as shop:
        answer = await shop("GET", "/tasks")
        assert answer.headers["ratelimit-remaining"] == "9"
        assert answer.headers["ratelimit-policy"] == '"key";q=10;w=60'
        assert "ratelimit" not in (await shop("GET", "/health/live")).headers


async def test_an_own_application_is_served_behind_the_same_keys() -> None:
    async def own(scope: Any, _: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 201, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    async with Shop(api_keys=(f"{SECRET}=read",)) as shop:
        shop.app.mount("/photos", own)
        shop.api = application.create(shop.app, shop.backends)
        shop.client = httpx.AsyncClient(transport=httpx.ASGITransport(shop.api), base_url="http://localhost")
        assert (await shop("GET", "/photos/1")).status_code == 401
        assert (await shop("GET", "/photos/1", headers=KEY)).status_code == 201
        assert (await shop("POST", "/photos/1", headers=KEY)).status_code == 403
        assert (await shop("GET", "/photos/1", headers={**KEY, "host": "evil.example"})).status_code == 403
