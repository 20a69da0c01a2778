"""API and worker in one file: what is queued, and the three routes that queue it and tell what became of it.

CELERY_BROKER_URI and CELERY_RESULT_BACKEND say where tasks wait and where results are kept.
"""

import random
import time
from typing import Any

from flask import Flask

from penstock import Penstock

app = Penstock("flask-api")
api = Flask(__name__)


@app.task
def draw() -> int:
    """Take a moment, and draw a number."""
    time.sleep(random.uniform(0, 0.3))
    return random.randint(0, 100)


@api.get("/")
def hello() -> str:
    return "Hello world!"


@api.post("/tasks")
def submit() -> dict[str, str]:
    return {"task_id": draw.delay().id}


@api.get("/tasks/<task_id>")
def show(task_id: str) -> dict[str, Any]:
    task = app.AsyncResult(task_id)
    result = task.result
    return {
        "children": [child.id for child in task.children],
        "result": str(result) if isinstance(result, BaseException) else result,
        "status": task.status,
        "traceback": task.traceback,
    }
