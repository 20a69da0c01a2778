"""/metrics: queues, workers and dead letters as they are now, and the requests of this server, for Prometheus."""

from __future__ import annotations

import asyncio

from penstock.api.answer import Answer, Content
from penstock.api.call import Call
from penstock.api.site import Site
from penstock.client import operations
from penstock.core.broker import QueueDepth
from penstock.core.errors import StorageError, Unavailable
from penstock.core.exposition import CONTENT_TYPE, Family, exposition
from penstock.core.record import WorkerInfo


async def get(call: Call) -> Answer:
    """GET /metrics. While a server behind this one is away, what this one knows by itself is still told."""
    up = Family("penstock_up", "gauge", "1 if broker and result backend answered")
    try:
        families = await _behind(call.site)
        up.add(1)
    except (Unavailable, StorageError):
        families = []
        up.add(0)
    text = exposition([up, *families, *call.site.tally.families()])
    return Content(200, text, CONTENT_TYPE.encode())


async def _behind(site: Site) -> list[Family]:
    results = site.backends.results
    depths, workers, dead = await asyncio.gather(
        operations.depths(site.backends), results.workers.all(), results.dead.count()
    )
    letters = Family("penstock_dead_letters", "gauge", "Messages that nobody will run again by themselves")
    letters.add(dead)
    return [*_queues(depths, site.clock()), *_workers(workers, site.clock()), letters]


def _queues(depths: list[QueueDepth], now: float) -> list[Family]:
    messages = Family("penstock_queue_messages", "gauge", "Messages by queue: ready, delayed, claimed by workers")
    paused = Family("penstock_queue_paused", "gauge", "1 if the queue is paused")
    oldest = Family("penstock_queue_oldest_seconds", "gauge", "Age of the oldest message that is ready")
    for depth in depths:
        for state, count in (("ready", depth.ready), ("delayed", depth.delayed), ("claimed", depth.claimed)):
            messages.add(count or 0, queue=depth.name, state=state)
        paused.add(depth.paused, queue=depth.name)
        oldest.add(0.0 if depth.oldest is None else max(0.0, now - depth.oldest), queue=depth.name)
    return [messages, paused, oldest]


def _workers(workers: list[WorkerInfo], now: float) -> list[Family]:
    processes = Family("penstock_worker_processes", "gauge", "Child processes that a live worker is to have")
    seen = Family("penstock_worker_seen_seconds", "gauge", "Seconds since a live worker's last report")
    for info in workers:
        processes.add(info.processes, worker=info.name)
        seen.add(max(0.0, now - info.seen_at), worker=info.name)
    return [processes, seen]
