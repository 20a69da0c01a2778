"""The ceiling: pika consumes what Penstock has queued, and redis-py writes the keys that Penstock's ending leaves.

As a program (`python -m bench.apps.bare_rabbitmq`) it is a worker: a thousand messages ahead, and for each hundred one
script, then one acknowledgement.
"""
# mypy: disable-error-code="import-not-found,import-untyped"

from __future__ import annotations

import json
import os
import time

import pika
import redis

from bench.apps import work

BATCH = 100

# ARGV: time, pid, then id, result, what Celery's clients see, …
_FINISH = """
local ids = {}
for at = 3, #ARGV, 3 do
  local id, meta = ARGV[at], "celery-task-meta-" .. ARGV[at]
  local set = {"s", "SUCCESS", "f", ARGV[1], "w", "bare", "p", ARGV[2], "b", ARGV[1], "R", ARGV[at + 1]}
  redis.call("HSET", "penstock:task:" .. id, unpack(set))
  redis.call("SET", meta, ARGV[at + 2], "EX", 604800)
  redis.call("PUBLISH", meta, ARGV[at + 2])
  ids[#ids + 1] = id
end
redis.call("XADD", "penstock:feed", "*", "i", cmsgpack.pack(ids), "s", "SUCCESS")
redis.call("ZADD", "penstock:ended", math.floor(ARGV[1]), cmsgpack.pack(ids))
redis.call("HINCRBY", "penstock:counts", "SUCCESS", #ids)
"""


def drain() -> None:
    """Run, record and acknowledge; what is left when nothing comes for a while is less than a batch, or nothing."""
    finish = redis.Redis.from_url(os.environ["BENCH_RESULTS"]).register_script(_FINISH)
    channel = pika.BlockingConnection(pika.URLParameters(os.environ["BENCH_URL"])).channel()
    channel.basic_qos(prefetch_count=10 * BATCH)
    ended: list[str] = []
    for method, properties, body in channel.consume("default", inactivity_timeout=0.01):
        if method is not None:
            result, task_id = str(work.add(*json.loads(body)[0])), properties.headers["id"]
            told = '{"status": "SUCCESS", "result": %s, "traceback": null, "children": [], "task_id": "%s"}'
            ended += [task_id, result, told % (result, task_id)]
            last = method.delivery_tag
        if ended and (method is None or len(ended) >= 3 * BATCH):
            finish(args=[time.time(), os.getpid(), *ended])
            channel.basic_ack(last, multiple=True)
            ended = []


if __name__ == "__main__":
    drain()
