"""A task that runs for longer than Celery's visibility timeout on Redis, in a fleet of both worlds."""

from __future__ import annotations

import time
from pathlib import Path

from penstock.client.backends import Backends
from penstock.core.states import SUCCESS
from tests.celery.kit import Console, Fleet
from tests.processes import eventually
from tests.servers import Redis

TIMEOUT = 8.0
#: what every consumer of Celery's does now and then: take back what was taken by whom for too long
RESTORE = f"""
app.conf.broker_transport_options = {{"visibility_timeout": {TIMEOUT}}}
with app.connection_for_write() as connection:
    channel = connection.default_channel
    channel.client.hset("unacked", "overdue", channel.client.hget("unacked", channel.client.hkeys("unacked")[0]))
    channel.client.zadd("unacked_index", {{"overdue": 1}})
    channel.qos.restore_visible()
    restored = [channel.client.hexists("unacked", "overdue"), channel.client.hlen("unacked")]
restored
"""


def test_what_runs_for_longer_than_the_visibility_timeout_is_left_alone(
    redis_server: Redis, console: Console, tmp_path: Path
) -> None:
    place = redis_server.fresh()
    ours = f"{place}?visibility_timeout={TIMEOUT:g}"
    fleet = Fleet("redis", ours, place, ours, tmp_path, console)
    theirs = Fleet("redis", place, place, ours, tmp_path, console)
    with fleet.worker("--threads", "1"):
        held = fleet.app.send_task("tasks.rest", (1.6 * TIMEOUT,)).id
        _, _, began = fleet.begun(held)
        time.sleep(max(0.0, began + 1.2 * TIMEOUT - time.time()))
        # it took back a copy that nobody had looked after, and not the one that runs
        assert theirs.celery(RESTORE) == [False, 1]
        [record] = fleet.ended(held)
        assert record.state == SUCCESS
        eventually(lambda: not fleet.ask(_left), what="the copy to be thrown away")
    assert fleet.runs()[held] == 1


async def _left(backends: Backends) -> int:
    return sum(queue.ready + (queue.claimed or 0) for queue in await backends.broker.depth())
