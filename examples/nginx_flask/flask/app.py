"""The Flask app behind nginx, and the task that its workers run."""

import random
import time
from typing import Any

from flask import Flask, request

from penstock import Penstock
from penstock.client.submit import Submitter
from penstock.core.record import Filter, Page

celery = Penstock("nginx-flask")  # CELERY_BROKER_URL and CELERY_RESULT_BACKEND say where
app = Flask(__name__)


@celery.task
def do_heavy_task() -> float:
    """Take 1 to 3 seconds, and tell how many."""
    seconds = random.uniform(1, 3)
    time.sleep(seconds)
    return round(seconds, 3)


@app.get("/flask/heavy")
def heavy() -> dict[str, str]:
    return {"task_id": do_heavy_task.delay().id}


@app.get("/flask/status")
def status() -> dict[str, Any] | tuple[dict[str, str], int]:
    task_id = request.args.get("task_id")
    if not task_id:
        return {"error": "which? /flask/status?task_id=…"}, 400
    task = celery.AsyncResult(task_id)
    return {"task_id": task_id, "status": task.status, "result": task.result}


@app.get("/flask/tasks")
def tasks() -> dict[str, Any]:
    """The newest hundred; `next` is the cursor of those before them."""
    cursor = request.args.get("cursor")

    async def newest(opened: Submitter) -> Page:
        return await opened.backends.results.records.page(Filter(), 100, cursor)

    page = celery.portal.call(newest)
    found = [{"task_id": each.task_id, "task": each.task, "status": str(each.state)} for each in page.items]
    return {"tasks": found, "next": page.next}
