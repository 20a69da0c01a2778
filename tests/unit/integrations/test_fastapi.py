"""Penstock in a FastAPI application: its API below a path, its life in step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from penstock import Penstock
from penstock.core.errors import ConfigurationError
from penstock.integrations.fastapi import Queue, install

LOCAL = "http://127.0.0.1"


def shop(**options: Any) -> Penstock:
    app = Penstock("shop", broker="memory://fastapi", **options)

    @app.task
    def ship(number: int) -> int:
        return number

    return app


@asynccontextmanager
async def served(api: FastAPI, base_url: str = LOCAL) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, between its startup and its shutdown."""
    async with (
        api.router.lifespan_context(api),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=api), base_url=base_url) as client,
    ):
        yield client


def made() -> FastAPI:
    api = FastAPI()
    install(api, shop(), "/queue")

    @api.post("/orders", status_code=202)
    async def order(number: int, queue: Queue) -> dict[str, str]:
        return {"task_id": (await queue.asend_task("ship", [number])).id}

    return api


async def test_the_api_is_below_its_path_and_leads_to_it() -> None:
    async with served(made()) as client:
        sent = await client.post("/queue/tasks/ship", json={"number": 1})
        assert sent.status_code == 202
        assert sent.headers["location"] == f"/queue/tasks/{sent.json()['task_id']}"
        assert (await client.get(sent.headers["location"])).json()["task"] == "ship"
        assert (await client.get("/queue/")).headers["location"] == "/queue/docs"
        assert "href=openapi.json" in (await client.get("/queue/docs")).text
        assert (await client.get("/queue/health/ready")).status_code == 200
        missing = await client.get("/queue/nothing")
        assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
        assert (await client.get("/tasks")).status_code == 404


async def test_a_path_operation_gets_the_queue_and_submits_on_the_same_connection() -> None:
    async with served(made()) as client:
        task_id = (await client.post("/orders", params={"number": 7})).json()["task_id"]
        found = (await client.get(f"/queue/tasks/{task_id}")).json()
        assert (found["task"], found["args"]) == ("ship", [7])


async def test_the_lifespan_of_the_application_goes_on_inside_ours() -> None:
    told = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        told.append(await app.tasks["ship"].adelay(1))  # it can be submitted to already
        yield {"colour": "green"}
        told.append(await app.tasks["ship"].adelay(2))

    app, api = shop(), FastAPI(lifespan=lifespan)
    install(api, app)
    async with api.router.lifespan_context(api) as state:
        assert state == {"colour": "green"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=api), base_url=LOCAL) as client:
            assert (await client.get("/queue/tasks")).status_code == 404, "without a path the API is not served"
    assert len(told) == 2


async def test_without_keys_only_this_machine_is_answered() -> None:
    key, away = "a-long-enough-key-of-mine", "http://shop.example"
    closed, opened, keyed = FastAPI(), FastAPI(), FastAPI()
    install(closed, shop(allowed_hosts=["shop.example"]), "/queue")
    install(opened, shop(allowed_hosts=["shop.example"]), "/queue", insecure=True)
    install(keyed, shop(allowed_hosts=["shop.example"], api_keys=[key]), "/queue")
    async with served(closed, away) as client:
        answer = await client.get("/queue/tasks")
        assert answer.status_code == 403
        assert "PENSTOCK_API_KEYS" in answer.json()["detail"]
    async with served(opened, away) as client:
        assert (await client.get("/queue/tasks")).status_code == 200
    async with served(keyed, away) as client:
        assert (await client.get("/queue/tasks")).status_code == 401
        assert (await client.get("/queue/tasks", headers={"authorization": f"Bearer {key}"})).status_code == 200


def test_a_path_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="/queue"):
        install(FastAPI(), shop(), "queue/")
