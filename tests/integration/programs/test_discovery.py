"""A broker by its name, asked of a DNS server and a Consul that answer as the real ones do."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from penstock.client import discovery
from penstock.core.errors import ConfigurationError

RECORDS = {
    "_amqp._tcp.broker": [(10, 1, 5672, "second.example"), (1, 5, 5671, "first.example")],
    "_lost._tcp.marathon.mesos": [(0, 0, 31005, "agent.mesos")],
}


def labels(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def answer(question: bytes) -> bytes:
    end = question.index(b"\0", 12)
    parts, at = [], 12
    while at < end:
        parts.append(question[at + 1 : at + 1 + question[at]].decode())
        at += question[at] + 1
    found = RECORDS.get(".".join(parts), [])
    told = (
        question[:2] + struct.pack("!HHHHH", 0x8180 if found else 0x8183, 1, len(found), 0, 0) + question[12 : end + 5]
    )
    for priority, weight, port, target in found:
        data = struct.pack("!HHH", priority, weight, port) + labels(target)
        told += b"\xc0\x0c" + struct.pack("!HHIH", 33, 1, 60, len(data)) + data  # the name: a pointer to the question
    return told


@pytest.fixture
def nameserver() -> Iterator[tuple[str, int]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                question, who = server.recvfrom(512)
                if question == b"end":
                    return
                server.sendto(answer(question), who)

        serving = threading.Thread(target=serve)
        serving.start()
        yield server.getsockname()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", server.getsockname())
        serving.join()


def test_srv_records_name_the_best_place(nameserver: tuple[str, int]) -> None:
    def resolve(name: str) -> list[discovery.Place]:
        return discovery.lookup(name, [nameserver])

    assert resolve("_amqp._tcp.broker") == [("first.example", 5671), ("second.example", 5672)]
    assert resolve("_amqp._tcp.nobody") == []
    assert discovery.named("broker", {}, resolve) == "amqps://first.example:5671/"
    assert discovery.named("lost", {"LOST_USER": "me"}, resolve) == "amqp://me@agent.mesos:31005/"
    assert discovery.named("localhost", {}, resolve) == "amqp://localhost:5672/"
    with pytest.raises(ConfigurationError, match="there is no broker called 'no such host': neither NO_SUCH_HOST_SERV"):
        discovery.named("no such host", {}, resolve)


def test_nobody_answers() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        where = deaf.getsockname()
    assert discovery.lookup("_amqp._tcp.broker", [where]) == []


class Consul(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.path == "/v1/health/service/broker?passing=1" and self.headers["X-Consul-Token"] == "t"
        entry = {"Node": {"Address": "10.1.1.1"}, "Service": {"Address": "", "Port": 31001}}
        body = json.dumps([entry] if known else []).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_consul_knows_services_by_name() -> None:
    with HTTPServer(("127.0.0.1", 0), Consul) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        environ = {"CONSUL_HTTP_ADDR": f"127.0.0.1:{server.server_port}", "CONSUL_HTTP_TOKEN": "t"}
        try:
            assert discovery.named("broker", environ, lambda _: []) == "amqp://10.1.1.1:31001/"
            assert discovery.named("other", environ, lambda _: [("h", 5672)]) == "amqp://h:5672/"
        finally:
            server.shutdown()
            serving.join()
