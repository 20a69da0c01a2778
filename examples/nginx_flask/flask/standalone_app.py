"""All in one file: the task, the web server on port 8080, and with start_local_celery.sh the worker.

    python3 ./standalone_app.py

RabbitMQ is expected on this machine; results are kept in backend.db beside this file.
"""

import os
import random
import time
from pathlib import Path
from typing import Any

from flask import Flask

from penstock import Penstock

HERE = Path(__file__).parent
celery = Penstock(
    "standalone",
    broker=os.environ.get("CELERY_BROKER_URL", "amqp://guest:guest@localhost:5672//"),
    result_backend=os.environ.get("CELERY_RESULT_BACKEND", f"sqlite:///{HERE}/backend.db"),
    default_queue="standalone",
)
app = Flask(__name__)


@celery.task
def do_heavy_task() -> float:
    seconds = random.uniform(1, 3)
    time.sleep(seconds)
    return round(seconds, 3)


@app.get("/flask/heavy")
def heavy() -> dict[str, str]:
    return {"task_id": do_heavy_task.delay().id}


@app.get("/flask/status/<task_id>")
def status(task_id: str) -> dict[str, Any]:
    task = celery.AsyncResult(task_id)
    return {"task_id": task_id, "status": task.status, "result": task.result}


if __name__ == "__main__":
    app.run(host=os.environ.get("HOST", "127.0.0.1"), port=int(os.environ.get("PORT", "8080")))
