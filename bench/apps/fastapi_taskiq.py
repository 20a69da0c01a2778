"""FastAPI in front of Taskiq: POST /tasks queues a task, GET /tasks/ID tells how it stands."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from bench.apps.taskiq_redis import asend, broker


class Wanted(BaseModel):
    task: str
    args: list[Any]


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    await broker.startup()
    yield
    await broker.shutdown()


app = FastAPI(lifespan=_lifespan)


@app.post("/tasks", status_code=202)
async def submit(wanted: Wanted) -> dict[str, Any]:
    return {"task_id": (await asend(wanted.task, *wanted.args)).task_id}


@app.get("/tasks/{task_id}")
async def look(task_id: str) -> dict[str, Any]:
    if not await broker.result_backend.is_result_ready(task_id):
        raise HTTPException(404)
    found = await broker.result_backend.get_result(task_id)
    return {"task_id": task_id, "status": "FAILURE" if found.is_err else "SUCCESS", "result": found.return_value}
