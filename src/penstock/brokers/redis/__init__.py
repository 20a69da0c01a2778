"""Messages in Redis, in kombu's layout, so that Celery shares the queues."""

from __future__ import annotations

from penstock.brokers.redis.broker import RedisBroker, open_broker

__all__ = ["RedisBroker", "open_broker"]
