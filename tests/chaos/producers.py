"""Who submits: over HTTP with an Idempotency-Key, sent again until there is an answer, and in Python."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from penstock.client.app import Penstock
from penstock.core.errors import StorageError, Unavailable
from penstock.core.ids import new_id
from tests.chaos.ledger import Ledger

BATCH = 20


class Producers(threading.Thread):
    """One producer on a thread of its own. `errors` counts how often it was told no."""

    def __init__(self, name: str, submit: Callable[[list[Any]], list[str]], ledger: Ledger, share: int, pace: float):
        super().__init__(name=name, daemon=True)
        self.submit = submit
        self.ledger = ledger
        self.share = share  #: how many tasks it is to submit
        self.pace = pace  #: tasks a second
        self.errors = 0
        self.slowest = 0.0  #: seconds that one call took
        self.broken: BaseException | None = None
        self.random = random.Random(name)

    def run(self) -> None:
        try:
            self._run()
        except BaseException as error:  # told by the harness
            self.broken = error

    def _run(self) -> None:
        sent = 0
        while sent < self.share:
            begun = time.monotonic()
            count = min(BATCH, self.share - sent)
            seconds = [self.random.choice((0.0, 0.0, 0.001, 0.02, 0.3)) for _ in range(count)]
            calls = [(self.random.choice(("work", "awork")), each) for each in seconds]
            self.ledger.accept(self.submit(calls))
            sent += count
            time.sleep(max(0.0, begun + count / self.pace - time.monotonic()))

    def timed(self, begun: float) -> None:
        self.slowest = max(self.slowest, time.monotonic() - begun)


def by_http(name: str, port: int, ledger: Ledger, share: int, pace: float) -> Producers:
    """Posts arrays to the API; without a 202 the same request is sent again under the same key."""

    def submit(calls: list[Any]) -> list[str]:
        body = json.dumps([{"task": task, "args": [seconds]} for task, seconds in calls])
        headers = {"content-type": "application/json", "idempotency-key": new_id()}
        while True:
            begun = time.monotonic()
            status, answer = _posted(port, body, headers)
            producer.timed(begun)
            if status == 202:
                return [item["task_id"] for item in answer["items"]]
            assert status in {0, 409, 500, 503}, (status, answer)  # 409: the first try is still at work
            producer.errors += 1
            time.sleep(0.2)

    producer = Producers(name, submit, ledger, share, pace)
    return producer


def by_python(name: str, app: Penstock, ledger: Ledger, share: int, pace: float) -> Producers:
    """Calls submit_many; what a failed call had queued is not counted as promised, but may run."""

    def submit(calls: list[Any]) -> list[str]:
        while True:
            begun = time.monotonic()
            try:
                found = app.submit_many([(task, (seconds,)) for task, seconds in calls], check=False)
            except (Unavailable, StorageError):
                producer.errors += 1
                time.sleep(0.2)
                continue
            finally:
                producer.timed(begun)
            return [each.id for each in found]

    producer = Producers(name, submit, ledger, share, pace)
    return producer


def _posted(port: int, body: str, headers: dict[str, str]) -> tuple[int, Any]:
    """(status, decoded answer); status 0 if there was none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/tasks", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError):
        return 0, None
    finally:
        connection.close()
