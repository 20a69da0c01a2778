"""Messages in RabbitMQ, in queues as Celery declares them, so that Celery shares them."""

from __future__ import annotations

from penstock.brokers.rabbitmq.broker import RabbitBroker, open_broker

__all__ = ["RabbitBroker", "open_broker"]
