"""amqps:// and several hosts, against real servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.client.app import Penstock
from penstock.core.errors import ConfigurationError, PenstockError
from penstock.core.states import SUCCESS
from tests.certificates import Authority
from tests.integration.rabbitmq.field import RabbitField
from tests.processes import eventually, free_port
from tests.proxy import Proxy
from tests.servers import RabbitMQ


class Secure:
    """A server that speaks TLS, and only with those that have a certificate, too."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.client, mine = self.authority.sign("client"), self.authority.sign("server")
        self.port = free_port()
        self.settings = {
            "listeners.ssl.1": f"127.0.0.1:{self.port}",
            "ssl_options.certfile": str(mine.certificate),
            "ssl_options.keyfile": str(mine.key),
            "ssl_options.cacertfile": str(self.authority.certificate),
            "ssl_options.verify": "verify_peer",
            "ssl_options.fail_if_no_peer_cert": "true",
        }

    def url(self, host: str = "127.0.0.1", *, trusted: bool = True, known: bool = True, verify: str = "") -> str:
        options = [f"cacertfile={self.authority.certificate}"] if trusted else []
        options += [f"certfile={self.client.certificate}", f"keyfile={self.client.key}"] if known else []
        options += [f"verify={verify}"] if verify else []
        return f"amqps://guest:guest@{host}:{self.port}//?{'&'.join(options)}"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    made = Secure(tmp_path_factory.mktemp("tls"))
    with RabbitMQ(**made.settings):
        yield made


class TestTls:
    def test_tasks_travel_encrypted_and_run(self, tmp_path: Path, secure: Secure) -> None:
        field = RabbitField(tmp_path, secure.url())
        with field.worker():
            [record] = field.ended(field.send("add", 1, 2))
        assert (record.state, record.result) == (SUCCESS, b"3")

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_a_server_is_trusted_unseen_only_if_that_is_asked_for(
        self, tmp_path: Path, secure: Secure, host: str
    ) -> None:
        RabbitField(tmp_path, secure.url(host, trusted=False, verify="verify_none")).send("add", 1, 2)

    @pytest.mark.parametrize(
        ("host", "trusted", "told"),
        [
            ("127.0.0.1", False, "self-signed certificate"),
            ("localhost", True, "not valid for 'localhost'"),
        ],
        ids=["of an unknown authority", "of another name"],
    )
    def test_a_certificate_that_cannot_be_trusted_is_told(
        self, tmp_path: Path, secure: Secure, host: str, trusted: bool, told: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=told):
            RabbitField(tmp_path, secure.url(host, trusted=trusted)).send("add", 1, 2)

    def test_a_worker_ends_with_that(self, tmp_path: Path, secure: Secure) -> None:
        with RabbitField(tmp_path, secure.url(trusted=False)).worker(ready=False) as worker:
            assert worker.process.process.wait(60) != 0
            assert "TLS failed: self-signed certificate" in worker.process.printed()
            assert "Traceback" not in worker.process.printed()

    def test_who_has_no_certificate_is_not_let_in_where_one_is_asked_for(self, tmp_path: Path, secure: Secure) -> None:
        with pytest.raises(PenstockError):
            RabbitField(tmp_path, secure.url(known=False)).send("add", 1, 2)


def test_files_that_are_not_there_are_told_before_anything_is_connected() -> None:
    with pytest.raises(ConfigurationError, match="TLS"):
        Penstock("x", broker="amqps://h//?cacertfile=/no/such/file", result_backend="memory://r").backends()


class TestSeveralHosts:
    @pytest.mark.parametrize("parted", [",", ";"])
    def test_the_first_that_answers_is_used(self, tmp_path: Path, rabbitmq_server: RabbitMQ, parted: str) -> None:
        place = rabbitmq_server.fresh().rpartition("/")[2]
        alive, dead = f"127.0.0.1:{rabbitmq_server.port}", f"127.0.0.1:{free_port()}"
        url = {
            ",": f"amqp://guest:guest@{dead},{alive}/{place}",
            ";": f"amqp://guest:guest@{dead}/{place};amqp://guest:guest@{alive}/{place}",
        }[parted]
        field = RabbitField(tmp_path, url)
        field.send("add", 1, 2)
        assert field.depth() == 1

    def test_a_worker_whose_host_goes_away_goes_on_with_another(
        self, tmp_path: Path, rabbitmq_server: RabbitMQ
    ) -> None:
        url = rabbitmq_server.fresh()
        with Proxy(url) as one, Proxy(url) as other:
            place = url.rpartition("/")[2]
            hosts = ",".join(each.url.rpartition("@")[2].partition("/")[0] for each in (one, other))
            field = RabbitField(tmp_path, f"amqp://guest:guest@{hosts}/{place}")
            with field.worker():
                assert field.ended(field.send("add", 1, 2))[0].state == SUCCESS
                one.refuse()
                more = eventually(lambda: field.tried("add", 3, 4), what="a submission over the other host")
                assert field.ended(more)[0].result == b"7"
