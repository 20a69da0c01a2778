"""What the doctor finds wrong with a RabbitMQ server, its URL or the settings; and who is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.client.app import Penstock
from penstock.drivers.rabbitmq import line
from tests.integration.diagnosis import diagnosis, forsaken, found
from tests.processes import free_port
from tests.servers import RabbitMQ


@pytest.fixture(autouse=True)
def records(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/records.db"
    monkeypatch.setenv("PENSTOCK_RESULT_BACKEND", url)
    return url


def test_of_a_good_server_it_tells_version_and_durability(
    monkeypatch: pytest.MonkeyPatch, rabbitmq_server: RabbitMQ
) -> None:
    findings = diagnosis(monkeypatch, rabbitmq_server.fresh())
    assert not [each for each in findings if each.verdict == "wrong"]
    assert any(text.startswith("RabbitMQ 3") for _, text in found(findings, "versions"))
    assert ("ok", "durable queues, persistent messages, confirmed by the server") in found(findings, "durability")


def test_it_names_queues_and_lanes_that_nobody_reads(
    monkeypatch: pytest.MonkeyPatch, rabbitmq_server: RabbitMQ, records: str
) -> None:
    app = Penstock("doctor", broker=rabbitmq_server.fresh(), result_backend=records)
    forsaken(monkeypatch, app, "orders.penstock.9")


@pytest.mark.parametrize(
    ("login", "place", "told"),
    [
        ("guest:wrong", "/", "wrong user or password"),
        ("guest:guest", "nowhere", "rabbitmqctl add_vhost nowhere"),
    ],
)
def test_it_names_a_refused_login_and_a_virtual_host_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, rabbitmq_server: RabbitMQ, login: str, place: str, told: str
) -> None:
    findings = diagnosis(monkeypatch, f"amqp://{login}@127.0.0.1:{rabbitmq_server.port}/{place}")
    ((verdict, text),) = found(findings, "servers")
    assert verdict == "wrong"
    assert told in text
    assert "wrong@" not in text


def test_it_names_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    ((verdict, text),) = found(diagnosis(monkeypatch, f"amqp://127.0.0.1:{free_port()}//"), "servers")
    assert verdict == "wrong"
    assert "cannot be reached" in text


def test_it_names_a_server_that_is_too_old(monkeypatch: pytest.MonkeyPatch, rabbitmq_server: RabbitMQ) -> None:
    monkeypatch.setattr(line, "_OLDEST", (99, 0))
    ((verdict, text),) = found(diagnosis(monkeypatch, rabbitmq_server.fresh()), "servers")
    assert verdict == "wrong"
    assert "is too old; 3.10 or later is needed" in text


@pytest.mark.parametrize("url", ["amqp://host:port//", "amqp://localhost//?hartbeat=3", "amqp://localhost//?timeout=x"])
def test_it_names_what_is_wrong_with_a_url(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    findings = diagnosis(monkeypatch, url)
    assert [each.verdict for each in findings if each.check == "configuration"] == ["wrong"]


@pytest.mark.parametrize("backend", ["", "rpc://"])
def test_it_names_a_place_for_records_that_is_none(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    monkeypatch.setenv("PENSTOCK_RESULT_BACKEND", backend)
    findings = diagnosis(monkeypatch, "amqp://localhost//")
    ((verdict, text), *_) = found(findings, "configuration")
    assert verdict == "wrong"
    assert "PENSTOCK_RESULT_BACKEND" in text
