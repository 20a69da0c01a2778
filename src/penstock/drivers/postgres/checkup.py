"""What `penstock doctor` tells of a PostgreSQL server: version, login, clock, durability, connections, cleaning."""

from __future__ import annotations

import time
from typing import Any, Final

from penstock.core.checkup import Finding, clock
from penstock.drivers.postgres.address import Address
from penstock.drivers.postgres.link import Session

_SETTINGS: Final = """
SELECT current_setting('server_version'), current_setting('synchronous_commit'), current_setting('fsync'),
    current_setting('full_page_writes'), current_setting('max_connections')::int,
    (SELECT count(*) FROM pg_stat_activity)::int, current_setting('autovacuum'), current_user,
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)
"""
#: the oldest transaction of the server: until it ends, nothing that was deleted since can be cleaned away
_OLDEST: Final = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8
FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
#: seconds
_LONG = 600.0
#: levels of synchronous_commit that wait for the own disk at least
_SYNCED: Final = frozenset({"on", "local", "remote_write", "remote_apply"})


async def examined(session: Session, address: Address, applied: int) -> list[Finding]:
    """Everything that can be looked at."""
    version, commit, fsync, pages, most, used, vacuum, user, superuser, tls = await session.row(_SETTINGS)
    oldest: float = await session.value(_OLDEST)
    now: float = await session.value("SELECT extract(epoch FROM clock_timestamp())::float8")
    findings = [
        Finding("versions", "ok", f"PostgreSQL {version}, schema {address.schema} at version {applied}"),
        _durability(commit, fsync, pages),
        Finding("login", *_login(user, superuser, tls, address)),
        clock("the server's clock", now - time.time()),
    ]
    if most - used < 10:
        findings.append(Finding("connections", "weak", f"{used} of {most} are in use: raise max_connections"))
    else:
        findings.append(Finding("connections", "ok", f"{used} of {most} are in use"))
    if vacuum != "on":
        findings.append(Finding("cleaning", "wrong", "autovacuum is off: the tables grow without end; turn it on"))
    elif oldest > _LONG:
        detail = f"a transaction is open for {oldest / 60:.0f} minutes; until it ends, claims become slower and slower"
        findings.append(Finding("cleaning", "weak", detail))
    else:
        findings.append(Finding("cleaning", "ok", "autovacuum is on, and no transaction stands in its way"))
    return findings


def _durability(commit: str, fsync: str, pages: str) -> Finding:
    told = f"synchronous_commit {commit}, fsync {fsync}, full_page_writes {pages}"
    if fsync != "on" or pages != "on":
        return Finding("durability", "weak", f"{told}: a power cut may lose or damage everything; turn them on")
    if commit not in _SYNCED:
        return Finding("durability", "weak", f"{told}: a crash may lose the last half second of tasks")
    return Finding("durability", "ok", f"{told}: what was answered is on disk")


def _login(user: str, superuser: Any, tls: Any, address: Address) -> tuple[Any, str]:
    way = "over TLS" if tls else "over a unix socket" if address.host.startswith("/") else "without TLS"
    if superuser:
        return "weak", f"{user}, {way}: it is a superuser; a login that owns its schema is enough"
    return "ok", f"{user}, {way}"
