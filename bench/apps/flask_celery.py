"""Flask in front of Celery: POST /tasks queues a task, GET /tasks/ID tells how it stands."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from __future__ import annotations

from typing import Any

from flask import Flask, request

from bench.apps.celery_redis import app as celery
from bench.apps.celery_redis import send

app = Flask(__name__)


@app.post("/tasks")
def submit() -> tuple[dict[str, Any], int]:
    wanted = request.get_json()
    return {"task_id": send(wanted["task"], *wanted["args"]).id}, 202


@app.get("/tasks/<task_id>")
def look(task_id: str) -> dict[str, Any]:
    found = celery.AsyncResult(task_id)
    return {"task_id": task_id, "status": found.status, "result": found.result}
