"""A broker by its name, in the environment: Kubernetes, Docker links, and URLs without a host."""

from __future__ import annotations

import pytest

from penstock.core.discovery import completed, found
from penstock.core.settings import Settings

KUBERNETES = {"BROKER_SERVICE_HOST": "10.0.0.7", "BROKER_SERVICE_PORT": "5672"}
BOTH = {"BROKER_SERVICE_PORT_AMQP": "5672", "BROKER_SERVICE_PORT_AMQPS": "5671"}
LINK = {
    "BROKER_PORT": "tcp://172.17.0.5:4369",
    "BROKER_PORT_4369_TCP": "tcp://172.17.0.5:4369",
    "BROKER_PORT_5672_TCP": "tcp://172.17.0.5:5673",
    "BROKER_PORT_5672_TCP_ADDR": "172.17.0.5",
    "BROKER_PORT_5672_TCP_PORT": "5673",
    "BROKER_ENV_RABBITMQ_DEFAULT_USER": "shop",
    "BROKER_ENV_RABBITMQ_DEFAULT_PASS": "p/w d",
    "BROKER_ENV_RABBITMQ_DEFAULT_VHOST": "/",
}


@pytest.mark.parametrize(
    ("name", "environ", "url"),
    [
        ("broker", {}, ""),
        ("broker", KUBERNETES, "amqp://10.0.0.7:5672/"),
        ("broker", KUBERNETES | {"BROKER_SERVICE_PORT_AMQP": "5000"}, "amqp://10.0.0.7:5000/"),
        ("broker", KUBERNETES | {"BROKER_SERVICE_PORT": "6379"}, "redis://10.0.0.7:6379/"),
        ("broker", KUBERNETES | {"BROKER_SERVICE_HOST": "fd00::7"}, "amqp://[fd00::7]:5672/"),
        ("broker", KUBERNETES | {"BROKER_USER": "a", "BROKER_PASSWORD": "b@c", "BROKER_VHOST": "v"},
         "amqp://a:b%40c@10.0.0.7:5672/v"),
        ("broker", LINK, "amqp://shop:p%2Fw%20d@172.17.0.5:5673/%2F"),
        ("broker", {"BROKER_PORT_5672_TCP": "tcp://172.17.0.5:5672"}, "amqp://172.17.0.5:5672/"),
        ("broker", {"BROKER_PORT_6379_TCP": "tcp://172.17.0.6:6379"}, "redis://172.17.0.6:6379/"),
        ("my-queue.1", {"MY_QUEUE_1_SERVICE_HOST": "h"}, "amqp://h:5672/"),
        ("broker", {"BROKER_SERVICE_HOST": "h", "BROKER_SERVICE_PORT": "nonsense"}, "amqp://h:5672/"),
    ],
)  # fmt: skip
def test_the_environment_knows_brokers_by_name(name: str, environ: dict[str, str], url: str) -> None:
    assert found(name, environ) == url


@pytest.mark.parametrize(
    ("given", "environ", "url"),
    [
        ("amqp://", KUBERNETES, "amqp://10.0.0.7:5672/"),
        ("amqp:///shop?heartbeat=5", KUBERNETES, "amqp://10.0.0.7:5672/shop?heartbeat=5"),
        ("amqp://elsewhere", KUBERNETES, "amqp://elsewhere"),
        ("amqp://", {}, "amqp://"),
        ("redis://", KUBERNETES, "redis://"),  # that one is no Redis
        ("rediss:///1", {"BROKER_PORT_6379_TCP": "tcp://h:6379"}, "rediss://h:6379/1"),
        ("amqps://", KUBERNETES, "amqps://10.0.0.7:5672/"),  # who asks for TLS never gets a line without
        ("amqps://", KUBERNETES | BOTH, "amqps://10.0.0.7:5671/"),
        ("amqp://", KUBERNETES | BOTH, "amqp://10.0.0.7:5672/"),
        ("amqp://", {"BROKER_PORT_5671_TCP": "tcp://h:5671"}, "amqps://h:5671/"),
        ("postgres:///db", {"BROKER_PORT_5432_TCP": "tcp://h:5432"}, "postgresql://h:5432/db"),
        ("sqlite:///x.db", KUBERNETES, "sqlite:///x.db"),
    ],
)
def test_a_url_without_a_host_is_the_broker_that_the_environment_has(
    given: str, environ: dict[str, str], url: str
) -> None:
    assert completed(given, environ) == url


def test_settings_complete_their_urls() -> None:
    environ = {"PENSTOCK_BROKER_URL": "redis://", "BROKER_PORT_6379_TCP": "tcp://172.17.0.6:6379"}
    assert Settings.load(environ).broker_url == "redis://172.17.0.6:6379/"
