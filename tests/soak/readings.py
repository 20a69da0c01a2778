"""What is read from outside while the load is on: processes by /proc, servers and files by their own means.

A reading is {name: number}; the first word of a name tells which bound it has (bounds.py).
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import redis as redis_py
from psycopg import sql

from tests.processes import children
from tests.servers import Postgres, RabbitMQ, Redis, Server

Reading = dict[str, float]
_KIB = 1024
_ESTABLISHED = "01"
#: what makes one key of many: an id or a number at its end
_OWN = re.compile(r"(?<=[:\-])[0-9a-fA-F][0-9a-fA-F\-:]{7,}$")


# ----------------------------------------------------------------------------------------------------------- processes


def family(name: str, pid: int) -> Iterator[tuple[str, int]]:
    """A process and those below it, each with a name that stays."""
    yield name, pid
    for number, each in enumerate(sorted(children(pid)), 1):
        yield from family(f"{name}.{number}", each)


def process(name: str, pid: int) -> Reading:
    """Bytes of memory that are its own (shared ones in parts), open files, threads. Empty once it has gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        shared_in_parts = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        return {
            f"memory {name}": float(shared_in_parts * _KIB),
            f"files {name}": float(len(list(Path(f"/proc/{pid}/fd").iterdir()))),
            f"threads {name}": float(len(list(Path(f"/proc/{pid}/task").iterdir()))),
        }
    return {}


def connections(ports: dict[str, int]) -> Reading:
    """Established ones to each port of this machine."""
    found: Counter[int] = Counter()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        if state == _ESTABLISHED:
            found[int(local.rpartition(":")[2], 16)] += 1
    return {f"connections {name}": float(found[port]) for name, port in ports.items()}


# -------------------------------------------------------------------------------------------------------------- stores


def sqlite_file(path: Path) -> Reading:
    """Rows of every table; bytes of the file and what belongs to it; listeners' pipes beside it."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        rows = {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables}  # noqa: S608
    beside = list(path.parent.glob(f"{path.name}*"))
    pipes = sum(len(list(each.iterdir())) for each in beside if each.is_dir())
    return {
        **{f"rows {name}": float(count) for name, count in rows.items()},
        "bytes": float(sum(each.stat().st_size for each in beside if each.is_file())),
        "objects beside": float(pipes + len(beside)),
    }


def redis_database(url: str) -> Reading:
    """Keys by kind; the length of those that there is one of; bytes of all."""
    client = redis_py.Redis.from_url(url)
    with contextlib.closing(client):
        keys = [key.decode(errors="replace") for key in client.scan_iter(count=1000)]
        kinds = Counter(_OWN.sub("*", key) for key in keys)
        rows = {f"rows {kind}": float(count) for kind, count in kinds.items()}
        for kind in (each for each in kinds if not each.endswith("*")):
            rows[f"rows {kind}"] = float(_length(client, kind))
        return {**rows, "bytes": float(client.info("memory")["used_memory"])}


def _length(client: redis_py.Redis, key: str) -> int:
    match client.type(key):
        case b"hash":
            return int(client.hlen(key))
        case b"list":
            return int(client.llen(key))
        case b"set":
            return int(client.scard(key))
        case b"zset":
            return int(client.zcard(key))
        case b"stream":
            return int(client.xlen(key))
    return 1


def postgres_schema(url: str) -> Reading:
    """Rows of every table and bytes of all, indices included."""
    place = urlsplit(url)
    schema = place.query.removeprefix("schema=")
    with psycopg.connect(place._replace(query="").geturl(), autocommit=True) as connection:
        listed = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,)).fetchall()
        found: Reading = {"bytes": 0.0}
        for (table,) in listed:
            name = sql.Identifier(schema, table)
            row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(name)).fetchone()
            size = connection.execute("SELECT pg_total_relation_size(%s::regclass)", (f"{schema}.{table}",)).fetchone()
            assert row, table
            assert size, table
            found[f"rows {table}"] = float(row[0])
            found["bytes"] += float(size[0])
    return found


def rabbitmq_node(server: RabbitMQ) -> Reading:
    """Messages in all queues; how many queues, bindings, connections and channels there are."""
    counts = server.control(
        "eval",
        'Q = rabbit_amqqueue:info_all(<<"/">>, [messages]), io:format("~b ~b ~b ~b ~b~n", [length(Q),'
        ' length(rabbit_binding:list(<<"/">>)), length(rabbit_networking:connections()),'
        " length(rabbit_channel:list()), lists:sum([N || [{messages, N}] <- Q])]).",
    ).split()
    names = ("objects queues", "objects bindings", "objects connections", "objects channels", "rows messages")
    return {name: float(count) for name, count in zip(names, counts, strict=False)}


def store(server: Server | None, url: str) -> Reading:
    """What one server, or the file of an URL, holds."""
    match server:
        case Redis():
            return redis_database(url)
        case Postgres():
            return postgres_schema(url)
        case RabbitMQ():
            return rabbitmq_node(server)
    return sqlite_file(Path(url.removeprefix("sqlite:///")))
