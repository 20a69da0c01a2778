"""PostgreSQL URLs, as libpq spells them, and errors in our words."""

from __future__ import annotations

import ssl

import asyncpg  # type: ignore[import-untyped]
import pytest

from penstock.core.errors import ConfigurationError, PenstockError, StorageError, Unavailable
from penstock.core.url import place
from penstock.drivers.postgres.address import parse
from penstock.drivers.postgres.errors import translated
from penstock.drivers.postgres.schema import load, named


def test_host_port_login_and_database_are_read() -> None:
    found = parse("postgresql://me:p%40ss@example.org:7000/shop")
    assert (found.host, found.port, found.database, found.user, found.password) == (
        "example.org", 7000, "shop", "me", "p@ss",
    )  # fmt: skip
    assert "p@ss" not in repr(found)


def test_the_defaults_are_those_of_a_local_server() -> None:
    found = parse("postgres://")
    assert (found.host, found.port, found.database, found.user, found.schema) == (
        "localhost", 5432, None, None, "penstock",
    )  # fmt: skip


def test_options_are_read() -> None:
    found = parse("postgresql:///shop?host=/run/postgresql&schema=jobs&pool_size=8&timeout=1.5&connect_timeout=3")
    assert (found.host, found.schema, found.pool_size, found.timeout, found.connect_timeout) == (
        "/run/postgresql", "jobs", 8, 1.5, 3.0,
    )  # fmt: skip


def test_certificates_are_checked_where_the_url_asks_for_it() -> None:
    full, authority = parse("postgresql://h?sslmode=verify-full").tls, parse("postgresql://h?sslmode=verify-ca").tls
    assert isinstance(full, ssl.SSLContext)
    assert isinstance(authority, ssl.SSLContext)
    assert (full.verify_mode, full.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (authority.verify_mode, authority.check_hostname) == (ssl.CERT_REQUIRED, False)
    assert parse("postgresql://h?sslmode=disable").tls is None
    assert parse("postgresql://h?sslmode=require").tls == "require"


def test_all_faults_are_told_at_once_without_secrets() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse("postgresql://:secret@h/x?pool_size=0&sslmod=require&schema=a-b&sslmode=no&sslrootcert=/nowhere")
    told = str(caught.value)
    assert len(caught.value.faults) == 5
    assert "did you mean sslmode?" in told
    assert "secret" not in told


def test_the_schema_is_part_of_the_place() -> None:
    assert place("postgres://h/db?timeout=3") == place("postgresql://h/db")
    assert place("postgresql://h/db?schema=a&timeout=3") == place("postgresql://h/db?pool_size=3&schema=a")
    assert place("postgresql://h/db?schema=a") != place("postgresql://h/db?schema=b")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (asyncpg.InvalidPasswordError("password authentication failed"), ConfigurationError),
        (asyncpg.InvalidCatalogNameError("database does not exist"), ConfigurationError),
        (asyncpg.DuplicatePreparedStatementError("prepared statement exists"), ConfigurationError),
        (asyncpg.TooManyConnectionsError("too many clients"), Unavailable),
        (asyncpg.CannotConnectNowError("starting up"), Unavailable),
        (asyncpg.AdminShutdownError("terminating"), Unavailable),
        (asyncpg.ConnectionDoesNotExistError("closed in the middle"), Unavailable),
        (asyncpg.DiskFullError("no space"), Unavailable),
        (OSError("refused"), Unavailable),
        (TimeoutError(), Unavailable),
        (asyncpg.ReadOnlySQLTransactionError("read-only"), StorageError),
        (asyncpg.InsufficientPrivilegeError("permission denied"), StorageError),
        (asyncpg.DataError("strange"), StorageError),
    ],
)
def test_errors_of_the_server_are_told_in_our_words(error: Exception, kind: type[PenstockError]) -> None:
    found = translated(error, "postgresql://h")
    assert type(found) is kind
    assert str(found).startswith("postgresql://h")


def test_errors_of_others_are_left_alone() -> None:
    error = LookupError()
    assert translated(error, "postgresql://h") is error


def test_migrations_are_numbered_without_gaps_and_need_none_that_is_newer() -> None:
    known = load()
    assert [each.number for each in known] == list(range(1, len(known) + 1))
    assert all(each.needs <= each.number for each in known)


def test_statements_are_written_for_one_schema_and_run_in_any() -> None:
    assert named("SELECT penstock.moment(1) FROM penstock.leases", "jobs") == "SELECT jobs.moment(1) FROM jobs.leases"
