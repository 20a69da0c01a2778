"""The task, and where it waits: the same lines as with Celery, and Penstock's name in them."""

import os

from penstock import Penstock

# Get Kubernetes-provided addresses of the broker and database services
broker_service_host = os.environ.get("RABBITMQ_SERVICE_SERVICE_HOST", "localhost")
database_service_host = os.environ.get("POSTGRES_SERVICE_HOST", "localhost")
broker_password = os.environ.get("RABBITMQ_PASSWORD", "guest")
database_password = os.environ.get("POSTGRES_PASSWORD", "")

app = Penstock(
    "tasks",
    broker=f"amqp://guest:{broker_password}@{broker_service_host}//",
    result_backend=f"postgresql://penstock:{database_password}@{database_service_host}/penstock",
)


@app.task(name="celery_conf.add")
def add(x: int, y: int) -> int:
    return x + y
