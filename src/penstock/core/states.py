"""The states of a task: Celery's names and no others, so that every client that knows Celery reads ours."""

from __future__ import annotations

from typing import Final, Literal

State = Literal["PENDING", "RECEIVED", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED"]

PENDING: Final = "PENDING"  #: accepted; waits in the broker, or is claimed and not yet known to run
RECEIVED: Final = "RECEIVED"  #: written only by Celery workers
STARTED: Final = "STARTED"  #: runs; first deliveries are marked after one second or with `track_started`
RETRY: Final = "RETRY"  #: an attempt failed; the next one waits in the broker
SUCCESS: Final = "SUCCESS"
FAILURE: Final = "FAILURE"
REVOKED: Final = "REVOKED"  #: cancelled, expired, terminated or purged

ENDED: Final[frozenset[str]] = frozenset({SUCCESS, FAILURE, REVOKED})
UNENDED: Final[frozenset[str]] = frozenset({PENDING, RECEIVED, STARTED, RETRY})
WAITING: Final[frozenset[str]] = frozenset({PENDING, RECEIVED, RETRY})
RETRYABLE: Final[frozenset[str]] = frozenset({FAILURE, REVOKED})
ALL: Final[frozenset[str]] = ENDED | UNENDED
