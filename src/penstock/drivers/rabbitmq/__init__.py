"""RabbitMQ as brokers see it: steps, two connections that are there when they are asked for, and `doctor`'s look."""

from __future__ import annotations

from penstock.drivers.rabbitmq.driver import Rabbit, open_driver

__all__ = ["Rabbit", "open_driver"]
