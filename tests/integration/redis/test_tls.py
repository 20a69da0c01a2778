"""rediss:// against a real server that speaks TLS, and only with those that have a certificate, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.core.errors import ConfigurationError, PenstockError
from penstock.core.states import SUCCESS
from tests.certificates import Authority
from tests.integration.field import Field
from tests.processes import free_port
from tests.servers import Redis


class Secure:
    """The server's settings, and its URLs."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.client, mine = self.authority.sign("client"), self.authority.sign("server")
        self.port = free_port()
        self.settings = {
            "tls_port": str(self.port),
            "tls_cert_file": str(mine.certificate),
            "tls_key_file": str(mine.key),
            "tls_ca_cert_file": str(self.authority.certificate),
            "tls_auth_clients": "yes",
        }

    def url(self, host: str = "127.0.0.1", *, trusted: bool = True, known: bool = True) -> str:
        options = [f"ssl_ca_certs={self.authority.certificate}"] if trusted else []
        options += [f"ssl_certfile={self.client.certificate}", f"ssl_keyfile={self.client.key}"] if known else []
        return f"rediss://{host}:{self.port}/0?{'&'.join(options)}"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    made = Secure(tmp_path_factory.mktemp("tls"))
    with Redis(**made.settings):
        yield made


def test_tasks_and_results_travel_encrypted(tmp_path: Path, secure: Secure) -> None:
    field = Field(tmp_path, secure.url())
    with field.worker():
        assert field.app.send_task("add", (1, 2)).get(timeout=60) == 3
        [record] = field.ended(field.send("add", 3, 4))
    assert (record.state, record.result) == (SUCCESS, b"7")


@pytest.mark.parametrize(
    ("host", "trusted", "told"),
    [("127.0.0.1", False, "self-signed certificate"), ("localhost", True, "not valid for 'localhost'")],
    ids=["of an unknown authority", "of another name"],
)
def test_a_certificate_that_cannot_be_trusted_is_told(
    tmp_path: Path, secure: Secure, host: str, trusted: bool, told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Field(tmp_path, secure.url(host, trusted=trusted)).send("add", 1, 2)


def test_who_has_no_certificate_is_not_let_in_where_one_is_asked_for(tmp_path: Path, secure: Secure) -> None:
    with pytest.raises(PenstockError):
        Field(tmp_path, secure.url(known=False)).send("add", 1, 2)
