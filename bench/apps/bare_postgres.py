"""The ceiling: asyncpg leaves the rows that Penstock writes, and does nothing else.

As a program (`python -m bench.apps.bare_postgres add`) it is a worker that goes when nothing is left: one statement
settles a batch and claims the next one. The rows are those of a task that Penstock has submitted, with other ids.
"""
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import uvloop

from bench.apps import penstock_sqlite, work

BATCH = 100
TASKS = {"add": work.add}

_SUBMIT = """
WITH given AS MATERIALIZED (
    SELECT nextval('records_seq_seq') AS seq, * FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::bytea[])
        AS each (task_id, head, kept, body)
), made AS (
    INSERT INTO records (seq, task_id, task, state, queue, created_at, submitter)
    SELECT seq, task_id, 'add', 'PENDING', 'default', $5, $6 FROM given
), paid AS (
    INSERT INTO payloads SELECT seq, kept, body, $7, $8 FROM given
), told AS (
    INSERT INTO feed (lines, at, task_ids, tasks, queues, states, workers) SELECT cardinality($1), $5, $1,
        array_fill('add'::text, ARRAY[cardinality($1)]), array_fill('default'::text, ARRAY[cardinality($1)]),
        array_fill('PENDING'::text, ARRAY[cardinality($1)]), array_fill(''::text, ARRAY[cardinality($1)])
)
INSERT INTO messages (queue, step, priority, published, task_id, head, body)
SELECT 'default', 0, 0, $5, task_id, head, body FROM given
"""
_TURN = """
WITH ended AS MATERIALIZED (
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[]) AS each (id, task_id, result)
), settled AS (
    DELETE FROM messages USING ended WHERE messages.id = ended.id
), recorded AS (
    UPDATE records SET state = 'SUCCESS', started_at = $4, finished_at = $4, worker = 'bare', pid = $5,
        result = ended.result, deliveries = 1
    FROM ended WHERE records.task_id = ended.task_id
), told AS (
    INSERT INTO feed (lines, at, task_ids, tasks, queues, states, workers) SELECT cardinality($2), $4, $2,
        array_fill('add'::text, ARRAY[cardinality($2)]), array_fill('default'::text, ARRAY[cardinality($2)]),
        array_fill('SUCCESS'::text, ARRAY[cardinality($2)]), array_fill('bare'::text, ARRAY[cardinality($2)])
    WHERE cardinality($2) > 0
)
UPDATE messages SET lease = 'bare' WHERE id IN (
    SELECT id FROM messages WHERE queue = 'default' AND lease IS NULL AND due IS NULL
    ORDER BY queue, step DESC, id LIMIT $6 FOR UPDATE SKIP LOCKED
) RETURNING id, task_id, body
"""

_made: deque[tuple[str, bytes, bytes, bytes]] = deque()
_rest: tuple[str, int, bytes] = ("", 0, b"")  # of a record and its payload, the same for all
_connection: Any = None


async def _connected() -> Any:
    settings = {"search_path": os.environ["BENCH_SCHEMA"]}
    return await asyncpg.connect(os.environ["BENCH_URL"], server_settings=settings)


def ready(count: int, task: str, args: Sequence[Any]) -> None:
    """Make the tables, and so many rows before the clock runs."""
    if not _rest[0]:
        penstock_sqlite.send(task, *args)
        penstock_sqlite.app.close()
    asyncio.run(_copy(count))


async def _copy(count: int) -> None:
    global _rest  # noqa: PLW0603 - one program, one pattern
    connection = await _connected()
    message = await connection.fetchrow("SELECT * FROM messages ORDER BY id LIMIT 1")
    kept = await connection.fetchrow("SELECT * FROM records JOIN payloads USING (seq) ORDER BY seq LIMIT 1")
    old = message["task_id"]
    if not _rest[0]:
        _rest = (kept["submitter"] or "bench", kept["extent"], kept["searched"])
        await connection.execute("TRUNCATE messages, records, payloads, feed, feed_order")
    for number in range(count):
        new = old[:-8] + f"{number:08x}"
        swap: Callable[[bytes], bytes] = lambda text, new=new: text.replace(old.encode(), new.encode())  # type: ignore[misc] # noqa: E731
        _made.append((new, swap(message["head"]), swap(kept["head"]), message["body"]))
    await connection.close()


async def asend(_task: str, *_args: Any) -> None:
    await _write([_made.popleft()])


async def asend_many(_task: str, many: Sequence[Any]) -> None:
    await _write([_made.popleft() for _ in many])


async def _write(tasks: Sequence[tuple[str, bytes, bytes, bytes]]) -> None:
    global _connection  # noqa: PLW0603 - one program, one connection
    _connection = _connection or await _connected()
    await _connection.execute(_SUBMIT, *map(list, zip(*tasks, strict=True)), time.time(), *_rest)


async def drain(task: str) -> None:
    """Claim, run, record and settle until nothing is left."""
    run, pid, connection = TASKS[task], os.getpid(), await _connected()
    ended: list[tuple[int, str, bytes]] = []
    while True:
        columns = [list(column) for column in zip(*ended, strict=True)] or [[], [], []]
        claimed = await connection.fetch(_TURN, *columns, time.time(), pid, BATCH)
        if not claimed:
            return
        ended = [(id_, task_id, b"%d" % run(*json.loads(body)[0])) for id_, task_id, body in claimed]


if __name__ == "__main__":
    uvloop.run(drain(sys.argv[1]))
