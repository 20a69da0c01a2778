from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from django.utils import timezone

from myproject.celeryconf import app
from myproject.models import Job

# decorator to avoid code duplication


def update_job(fn: Callable[..., Any]) -> Callable[..., None]:
    """Decorator that will update Job with result of the function"""

    # wraps will make the name and docstring of fn available for introspection
    @wraps(fn)
    def wrapper(job_id: int, *args: Any, **kwargs: Any) -> None:
        job = Job.objects.get(id=job_id)
        if job.status not in ("pending", "started"):  # a worker died after this was done, before it could say so
            return
        job.status = "started"
        job.save()
        try:
            # execute the function fn
            result = fn(*args, **kwargs)
        except Exception:  # whatever it is, the job shall say so
            job.end("failed")
            raise
        job.end("finished", result)

    return wrapper


# two simple numerical tasks that can be computationally intensive


@app.task
@update_job
def power(n: int) -> int:
    """Return 2 to the n'th power"""
    if not 0 <= n <= 3321:
        raise ValueError("Powers are only computed for n from 0 to 3321: the result has at most 1000 digits.")
    return int(2**n)


@app.task
@update_job
def fib(n: int) -> int:
    """Return the n'th Fibonacci number."""
    if n < 0:
        raise ValueError("Fibonacci numbers are only defined for n >= 0.")
    return _fib(n)


def _fib(n: int) -> int:
    if n in {0, 1}:
        return n
    return _fib(n - 1) + _fib(n - 2)


# mapping from names to tasks

TASK_MAPPING = {"power": power, "fibonacci": fib}


@app.periodic(every=10)
@app.task
def look_after() -> None:
    """Queue jobs that an outage has kept from the broker; fail those that were given up, or cancelled"""
    before = timezone.now() - timedelta(seconds=30)
    waiting = Job.objects.filter(status__in=("pending", "started"), updated_at__lt=before)
    for job in waiting.order_by("updated_at")[:100]:
        if app.AsyncResult(job.task_id).state in ("FAILURE", "REVOKED"):
            waiting.filter(pk=job.pk, task_id=job.task_id).update(
                status="failed", task_id="", updated_at=timezone.now()
            )
        elif job.status == "pending":
            job.queue()
