"""Results in Redis: Celery's own keys for its clients, and beside them everything that a list or a history needs."""

from __future__ import annotations

from penstock.results.redis.backend import RedisResults, open_results

__all__ = ["RedisResults", "open_results"]
