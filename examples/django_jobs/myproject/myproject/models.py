from contextlib import suppress
from typing import Any
from uuid import uuid4

from django.core.validators import MinValueValidator
from django.db import models, transaction

from penstock import TaskIdTaken


class Job(models.Model):
    """Class describing a computational job"""

    # currently, available types of job are:
    TYPES = (
        ("fibonacci", "fibonacci"),
        ("power", "power"),
    )

    # list of statuses that job can have
    STATUSES = (
        ("pending", "pending"),
        ("started", "started"),
        ("finished", "finished"),
        ("failed", "failed"),
    )

    type = models.CharField(choices=TYPES, max_length=20)
    status = models.CharField(choices=STATUSES, max_length=20, default="pending")

    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    argument = models.IntegerField(validators=[MinValueValidator(0)])
    # 2**1000 has 302 digits
    result = models.DecimalField(max_digits=1000, decimal_places=0, null=True, editable=False)

    # the task that runs it: one more with the same id is never queued
    task_id = models.CharField(max_length=50, editable=False, default="")

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.type}({self.argument}): {self.status}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save model and if job is in pending state, schedule it once that is committed"""
        if self.status == "pending":
            self.task_id = self.task_id or f"job-{uuid4()}"
        super().save(*args, **kwargs)
        if self.status == "pending":
            # robust: if the broker cannot be reached now, the job is there all the same, and `look_after` queues it
            transaction.on_commit(self.queue, robust=True)

    def queue(self) -> None:
        """Schedule it, unless it is"""
        from myproject.tasks import TASK_MAPPING  # noqa: PLC0415 (tasks know jobs)

        with suppress(TaskIdTaken):
            TASK_MAPPING[self.type].apply_async(kwargs={"job_id": self.pk, "n": self.argument}, task_id=self.task_id)

    def end(self, status: str, result: int | None = None) -> None:
        """It is finished, or failed; made pending once more, it would be a new task"""
        self.status, self.result, self.task_id = status, result, ""
        self.save()
