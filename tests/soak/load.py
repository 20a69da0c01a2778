"""The users under steady load, in a process of their own that is watched like the product's.

Every second: tasks over HTTP and from Python, results waited for and read, a delayed task, a cancelled one, one that
fails, one that tries again, one with children; a page of the listing, the metrics, a stream of events and goodbye.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import sys
import time
from typing import Any

from penstock.core.errors import PenstockError
from tests.soak.app import add, app, fail, flaky, parent, rest

#: tasks a second that `second` submits besides those it is asked for: the children and the schedule's included
BESIDE = 11
#: what it prints after every second of load that was done
DONE = "done"
_TIMEOUT = 30.0


class Users:
    """All of them, one after the other."""

    def __init__(self, port: int, rate: int) -> None:
        self.port = port
        self.half = max(1, (rate - BESIDE) // 2)
        self.kept = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)

    def run(self) -> None:
        """Until somebody ends the process. A second that is missed is not made up for."""
        while True:
            begun = time.monotonic()
            try:
                self.second()
                print(DONE, flush=True)  # noqa: T201
            except (PenstockError, OSError, http.client.HTTPException, AssertionError) as error:
                print(f"error {type(error).__name__}: {error}", flush=True)  # noqa: T201
            time.sleep(max(0.0, begun + 1.0 - time.monotonic()))

    def second(self) -> None:
        """What happens every second."""
        found = app.submit_many([(add, (number, 1)) if number % 2 else (rest, (0.01,)) for number in range(self.half)])
        later = add.apply_async((1, 2), countdown=2)
        gone = add.apply_async((1, 2), countdown=2)
        fail.delay("as always")
        flaky.delay()
        parent.delay(3)
        gone.revoke()
        one = [{"task": "add", "args": [number, 2]} for number in range(self.half)]
        items = self.call("POST", "/tasks", one, expected=202)["items"]
        self.call("POST", "/tasks/add", {"x": 1, "y": 2}, expected=200, headers={"prefer": "wait=20"})
        self.call("GET", f"/tasks/{items[0]['task_id']}")
        self.call("GET", "/tasks?limit=10")
        self.call("GET", "/metrics", read=False)
        self.listen()
        found[0].get(timeout=20)
        assert later.status in {"PENDING", "SUCCESS"}

    def call(
        self, method: str, path: str, body: Any = None, *, expected: int = 200,
        headers: dict[str, str] | None = None, read: bool = True,
    ) -> Any:  # fmt: skip
        """The decoded answer, on the connection that is kept."""
        given = {"content-type": "application/json"} if body is not None else {}
        try:
            self.kept.request(method, path, json.dumps(body) if body is not None else None, given | (headers or {}))
            answer = self.kept.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.kept.close()
            raise
        assert answer.status == expected, (method, path, answer.status, text[:500])
        return json.loads(text) if read else None

    def listen(self) -> None:
        """The first bytes of the firehose, on a connection of its own, then goodbye."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT)) as line:
            line.request("GET", "/events")
            answer = line.getresponse()
            assert answer.status == 200, answer.status
            add.delay(1, 1)
            answer.read1(64)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.load", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="of the API")
    parser.add_argument("--rate", type=int, required=True, help="tasks a second")
    given = parser.parse_args()
    Users(given.port, given.rate).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
