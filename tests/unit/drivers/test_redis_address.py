"""Redis URLs, as Celery, kombu and redis-py spell them."""

from __future__ import annotations

import ssl

import pytest

from penstock.core.errors import ConfigurationError, StorageError, Unavailable
from penstock.drivers.redis.address import parse
from penstock.drivers.redis.errors import translated


def test_host_port_login_and_database_are_read() -> None:
    found = parse("redis://me:p%40ss@example.org:7000/3")
    assert (found.host, found.port, found.db, found.username, found.password) == ("example.org", 7000, 3, "me", "p@ss")
    assert "p@ss" not in repr(found)
    assert found.tls is None


def test_the_defaults_are_those_of_a_local_server() -> None:
    found = parse("redis://")
    assert (found.host, found.port, found.db, found.password, found.prefix) == ("localhost", 6379, 0, "", "")


def test_a_socket_has_its_database_in_an_option() -> None:
    found = parse("redis+socket:///run/redis.sock?virtual_host=4")
    assert (found.path, found.db) == ("/run/redis.sock", 4)


def test_options_are_read() -> None:
    found = parse("redis://h?socket_timeout=1.5&socket_connect_timeout=2&global_keyprefix=shop:&priority_scheme=celery")
    assert (found.timeout, found.connect_timeout, found.prefix, found.celery_priorities) == (1.5, 2.0, "shop:", True)


def test_certificates_are_checked_unless_the_url_says_otherwise() -> None:
    strict, lax = parse("rediss://h").tls, parse("rediss://h?ssl_cert_reqs=none").tls
    assert strict is not None
    assert lax is not None
    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (lax.verify_mode, lax.check_hostname) == (ssl.CERT_NONE, False)


def test_all_faults_are_told_at_once_without_secrets() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse("redis://:secret@h/x?socket_timeout=0&socket_timout=3&priority_scheme=other")
    told = str(caught.value)
    assert len(caught.value.faults) == 4
    assert "did you mean socket_timeout?" in told
    assert "secret" not in told


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("LOADING Redis is loading the dataset in memory", Unavailable),
        ("OOM command not allowed when used memory > 'maxmemory'.", Unavailable),
        ("ERR Error running script: @user_script:3: -MISCONF Redis is configured to save", Unavailable),
        ("READONLY You can't write against a read only replica.", StorageError),
        ("WRONGPASS invalid username-password pair or user is disabled.", ConfigurationError),
        ("NOAUTH Authentication required.", ConfigurationError),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", StorageError),
    ],
)
def test_error_replies_become_errors_of_core(reply: str, kind: type[Exception]) -> None:
    assert type(translated(Exception(reply), "redis://h")) is kind
