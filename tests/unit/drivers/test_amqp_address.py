"""AMQP URLs."""

from __future__ import annotations

import pytest

from penstock.core.errors import ConfigurationError
from penstock.drivers.amqp.address import Host, parse


def test_the_parts_of_a_url() -> None:
    found = parse("amqp://me%40home:pa%2Fss@rabbit:1234/shop?heartbeat=30&connection_timeout=2.5&timeout=7&name=me")
    assert (found.user, found.password, found.vhost) == ("me@home", "pa/ss", "shop")
    assert found.hosts == (Host("rabbit", 1234),)
    assert (found.heartbeat, found.connect_timeout, found.timeout, found.name) == (30, 2.5, 7.0, "me")
    assert found.tls is None


def test_what_is_left_out() -> None:
    found = parse("amqp://")
    assert (found.hosts, found.user, found.password, found.vhost) == ((Host("localhost", 5672),), "guest", "guest", "/")
    assert (found.heartbeat, found.tls) == (0, None)


@pytest.mark.parametrize(
    ("path", "vhost"),
    [("", "/"), ("/", "/"), ("//", "/"), ("/%2F", "/"), ("/a", "a"), ("//a", "/a"), ("/a%2Fb", "a/b")],
)
def test_virtual_hosts_are_read_as_celery_reads_them(path: str, vhost: str) -> None:
    assert parse(f"amqp://h{path}").vhost == vhost


def test_several_hosts() -> None:
    found = parse("pyamqp://me:secret@one//;amqp://me:secret@two:5673//;[::1]:99")
    assert found.hosts == (Host("one", 5672), Host("two", 5673), Host("::1", 99))
    assert parse("amqp://one,two:1/v").hosts == (Host("one", 5672), Host("two", 1))


def test_tls_checks_certificates_unless_told_otherwise() -> None:
    strict, loose = parse("amqps://h").tls, parse("amqps://h?verify=verify_none").tls
    assert strict is not None
    assert loose is not None
    assert (strict.check_hostname, loose.check_hostname) == (True, False)
    assert parse("amqps://h").hosts == (Host("h", 5671),)


def test_all_faults_are_told_at_once_and_no_secret() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse("amqps://me:secret@h:99999/?heartbaet=1&timeout=soon&cacertfile=/nowhere.pem")
    text = str(caught.value)
    assert all(part in text for part in ("99999", "heartbaet", "heartbeat", "timeout=soon", "TLS"))
    assert "secret" not in text
    assert "secret" not in repr(parse("amqp://me:secret@h"))
