"""Beside the real amqp-tools on RabbitMQ, without a result backend: what one sends the other takes, both ways."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import pytest

from penstock.brokers.rabbitmq.broker import RabbitBroker
from penstock.client.bare import Bare
from penstock.core.message import Message
from penstock.drivers.amqp import methods
from tests import servers
from tests.processes import PENSTOCK, Launched, clean_environment, eventually

T = TypeVar("T")

EVERY_BYTE = bytes(range(1, 256))  # amqp-publish takes its body as an argument, which cannot have a NUL
SH = ("sh", "-c")


@pytest.fixture
def url(rabbitmq_server: servers.RabbitMQ) -> str:
    return rabbitmq_server.fresh()


def run(*command: str, body: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
    done = subprocess.run(
        command, input=body, capture_output=True, timeout=120, env={**clean_environment(), **(env or {})},
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def consume(url: str, *words: str) -> bytes:
    return run(PENSTOCK, "consume", "-u", url, "--log-level", "error", *words)


def test_what_amqp_publish_sends_is_consumed(url: str) -> None:
    run(PENSTOCK, "publish", "-u", url, "-q", "work", body=b"the first")
    message = ["-r", "work", "-C", "text/plain", "-H", "tenant: acme", "-p"]
    run("amqp-publish", "-u", url, *message, "-b", os.fsdecode(EVERY_BYTE))
    printed = consume(url, "-q", "work", "-c", "2", "--", *SH, "cat; echo; env | grep MESSAGE_ | sort")
    assert b"the first\n" in printed
    assert EVERY_BYTE in printed
    assert b"MESSAGE_CONTENT_TYPE=text/plain\n" in printed
    assert b"MESSAGE_HEADER_TENANT=acme\n" in printed
    assert b"MESSAGE_DELIVERY_MODE=2\n" in printed


def test_what_penstock_publishes_is_consumed_by_amqp_consume(url: str) -> None:
    body = bytes(range(256)) * 10
    run(PENSTOCK, "publish", "-u", url, "-q", "work", body=body)
    run(PENSTOCK, "publish", "-u", url, "-q", "work", body=b"")
    assert run("amqp-consume", "-u", url, "-q", "work", "-c", "2", "cat") == body


def test_what_amqp_consume_leaves_is_consumed_here(url: str, tmp_path: Path) -> None:
    refuse = tmp_path / "refuse"
    refuse.write_text("#!/bin/sh\ncat >/dev/null\nexit 1\n")  # one that did not read could end amqp-consume by SIGPIPE
    refuse.chmod(0o755)
    run(PENSTOCK, "publish", "-u", url, "-q", "work", body=b"difficult")
    run("amqp-consume", "-u", url, "-q", "work", "-c", "1", str(refuse))
    printed = consume(url, "-q", "work", "-c", "1", "--", *SH, 'cat; echo " $MESSAGE_REDELIVERED"')
    assert printed == b"difficult 1\n"


def test_without_a_result_backend_dead_letters_lie_in_a_queue_of_their_own(url: str) -> None:
    run(PENSTOCK, "publish", "-u", url, "-q", "work", body=b"x")
    program = ("--", *SH, "echo 'out of paper' >&2; exit 3")
    consume(url, "-q", "work", "-c", "2", "--max-deliveries", "2", "--backoff", "0", *program)
    told = consume(url, "-q", "work.dead", "-c", "1", "--", *SH, "cat; echo; env | grep MESSAGE_HEADER_").decode()
    body, *found = told.splitlines()
    assert body == "x"
    assert {each for each in found if "DIED_AT" not in each} == {
        "MESSAGE_HEADER_PENSTOCK_DETAIL=exit code 3: out of paper",
        "MESSAGE_HEADER_PENSTOCK_QUEUE=work",
        "MESSAGE_HEADER_PENSTOCK_REASON=ProgramError",
    }


def test_a_broker_is_found_by_its_name(url: str) -> None:
    host, _, rest = url.rpartition("@")[2].partition(":")
    port, _, vhost = rest.partition("/")
    link = {
        "BROKER_PORT_5672_TCP": f"tcp://{host}:{port}",
        "BROKER_ENV_RABBITMQ_DEFAULT_USER": "guest",
        "BROKER_ENV_RABBITMQ_DEFAULT_PASS": "guest",
        "BROKER_ENV_RABBITMQ_DEFAULT_VHOST": vhost,
    }
    service = {
        "SHOP_SERVICE_HOST": host,
        "SHOP_SERVICE_PORT": port,
        "SHOP_VHOST": vhost,
    }
    run(PENSTOCK, "publish", "-b", "broker", "-q", "work", body=b"by name", env=link)
    words = ("consume", "-q", "work", "-c", "1", "--log-level", "error")
    assert run(PENSTOCK, *words, "-b", "shop", "cat", env=service) == b"by name"
    run(PENSTOCK, "publish", "-q", "work", body=b"unsaid", env=link)
    assert run(PENSTOCK, *words, "cat", env=link) == b"unsaid"
    run(PENSTOCK, "publish", "-u", "amqp://", "-q", "work", body=b"without a host", env=link)
    assert run(PENSTOCK, *words, "cat", env={**link, "PENSTOCK_BROKER_URL": "amqp://"}) == b"without a host"


def test_odd_headers_and_properties_are_texts(url: str) -> None:
    app = Bare("test", broker=url)
    headers = {"a": {"deep": [1, None]}, "n": None, "t": True, "f": 0.5}

    async def put() -> None:
        async with app.backends() as backends:
            await backends.broker.publish([Message(b"x", headers, {"message_id": "m", "type": "order"}, "work")])

    asyncio.run(put())
    printed = consume(url, "-q", "work", "-c", "1", "env").decode().splitlines()
    assert {
        'MESSAGE_HEADER_A={"deep": [1, null]}',
        "MESSAGE_HEADER_N=null",
        "MESSAGE_HEADER_T=true",
        "MESSAGE_HEADER_F=0.5",
        "MESSAGE_ID=m",
        "MESSAGE_TYPE=order",
    } <= set(printed)


@contextlib.contextmanager
def consumer(url: str, folder: Path, *words: str) -> Iterator[Launched]:
    """A consumer that is ready: its queue is there, and bound."""
    launched = Launched([PENSTOCK, "consume", "-u", url, *words], folder)
    try:
        launched.prints("ready:")
        yield launched
    finally:
        launched.clean()


def asked(url: str, question: Callable[[RabbitBroker], Awaitable[T]]) -> T:
    """What the server answers."""

    async def ask() -> T:
        broker = Bare("test", broker=url).backends().broker
        assert isinstance(broker, RabbitBroker)
        try:
            return await question(broker)
        finally:
            await broker.close()

    return asyncio.run(ask())


def ready(url: str, *queues: str) -> list[int | None]:
    """How many messages are ready in each of the queues; None where there is no such queue."""
    return list(asked(url, lambda broker: broker.topology.counts(queues)).values())


def exchange(url: str, name: str, kind: str) -> None:
    async def declare(broker: RabbitBroker) -> None:
        channel = await broker.driver.working.channel()
        await channel.call(methods.EXCHANGE_DECLARE, methods.exchange_declare(name, kind))

    asked(url, declare)


def test_messages_of_an_exchange_come_by_their_routing_keys(url: str, tmp_path: Path) -> None:
    """Those of the real amqp-publish and our own, to a queue without a name, that ends with its consumer."""
    exchange(url, "events", "topic")
    words = ("-e", "events", "-r", "order.*", "-r", "user.#", "cat")
    with consumer(url, tmp_path, *words) as taker:
        run("amqp-publish", "-u", url, "-e", "events", "-r", "order.new", "-b", "<an order>")
        run("amqp-publish", "-u", url, "-e", "events", "-r", "bill.new", "-b", "<a bill>")
        run(PENSTOCK, "publish", "-u", url, "-e", "events", "-r", "user.ada.new", "-H", "by: me", body=b"<a user>")
        taker.prints("<an order>")
        assert "<a bill>" not in taker.prints("<a user>")
        found = re.search(r"takes (penstock\.exclusive\.\S+) with", taker.printed())
        assert found
        run("amqp-publish", "-u", url, "-r", found[1], "-b", "<by its name>")
        taker.prints("<by its name>")
        assert taker.stop() == 0
    assert ready(url, found[1]) == [None]


def test_our_exchange_messages_reach_amqp_consume_and_need_a_queue(url: str, tmp_path: Path) -> None:
    exchange(url, "news", "fanout")
    nobody = subprocess.run(
        [PENSTOCK, "publish", "-u", url, "-e", "news"], input=b"x", env=clean_environment(), capture_output=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert nobody.returncode == 1
    assert nobody.stderr.decode().startswith("error: no queue is bound to the exchange 'news' with the routing key ''")
    theirs = Launched(["amqp-consume", "-u", url, "-e", "news", "-r", "any", "-x", "-c", "1", "cat"], tmp_path)
    try:
        publish = [PENSTOCK, "publish", "-u", url, "-e", "news", "-C", "text/plain"]

        def sent() -> bool:
            done = subprocess.run(publish, input=b"hear, hear", env=clean_environment(), check=False, timeout=60)
            return done.returncode == 0

        eventually(sent, every=0.5, what=f"a queue that is bound: {theirs.printed()}")
        theirs.prints("hear, hear", running=False)
    finally:
        theirs.clean()


def test_a_named_queue_is_bound_and_stays_with_what_comes_meanwhile(url: str, tmp_path: Path) -> None:
    exchange(url, "events", "direct")
    with consumer(url, tmp_path, "-q", "mine", "-e", "events", "-r", "a", "cat") as taker:
        assert taker.stop() == 0
    run("amqp-publish", "-u", url, "-e", "events", "-r", "a", "-b", "meanwhile")
    assert consume(url, "-q", "mine", "-c", "1", "cat") == b"meanwhile"


def test_an_exclusive_queue_is_nobody_elses(url: str, tmp_path: Path) -> None:
    with consumer(url, tmp_path, "-x", "-q", "alone", "--backoff", "0.1", "--", *SH, "read x; echo $x; exit 65"):
        run("amqp-publish", "-u", url, "-r", "alone", "-b", "dead at once")
        for command in (
            [PENSTOCK, "consume", "-u", url, "-q", "alone", "-x", "cat"],
            ["amqp-consume", "-u", url, "-q", "alone", "cat"],
        ):
            done = subprocess.run(command, env=clean_environment(), capture_output=True, timeout=60, check=False)
            assert done.returncode == 1
            assert b"RESOURCE_LOCKED" in done.stderr
        assert consume(url, "-q", "alone.dead", "-c", "1", "cat") == b"dead at once"
    eventually(lambda: ready(url, "alone") == [None], what="the end of the queue with its consumer")


def test_an_exclusive_queue_is_there_again_after_an_outage(url: str, tmp_path: Path) -> None:
    """Its messages are gone with the connection; its bindings are made again."""
    exchange(url, "news", "fanout")
    with consumer(url, tmp_path, "-e", "news", "--", *SH, "cat; echo; exit 0") as taker:
        run("amqp-publish", "-u", url, "-e", "news", "-b", "before")
        taker.prints("before")
        servers.rabbitmq().control("close_all_connections", "-p", url.rpartition("/")[2], "a test")

        def heard() -> bool:
            run("amqp-publish", "-u", url, "-e", "news", "-b", "after")
            return "after" in taker.printed()

        eventually(heard, every=0.5, what="messages after the outage")


def test_without_acknowledgements_a_failed_message_is_gone(url: str) -> None:
    run(PENSTOCK, "publish", "-u", url, "-q", "work", body=b"x")
    consume(url, "-q", "work", "-A", "-c", "1", "false")
    assert ready(url, "work", "work.dead") == [0, None]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-q", "q", "-e", "missing"), "no exchange 'missing'"),
        (("-q", "q", "-r", "key"), "--routing-key needs an --exchange"),
    ],
)
def test_what_cannot_be_bound_is_one_line(url: str, words: tuple[str, ...], said: str) -> None:
    command = [PENSTOCK, "consume", "-u", url, *words, "cat"]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (1, 2)
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
