"""The ceiling: redis-py leaves the keys that Penstock writes, and does nothing else.

As a program (`python -m bench.apps.bare_redis add`) it is a worker that goes when nothing is left: it settles a batch
and claims the next one in one round trip. A task is an envelope that Penstock has made, with another id in it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import redis

from bench.apps import work
from penstock.brokers.redis.envelope import encode
from penstock.core.ids import new_id
from penstock.core.protocol import encode_task
from penstock.results.redis.rows import message_blob

BATCH = 100
TASKS = {"add": work.add}

# ARGV: id, tag, envelope, message of the record, …
_SUBMIT = """
local messages, waiting, index, blobs, ids = {}, {}, {}, {}, {}
local number = redis.call("HINCRBY", "penstock:numbers", "task", #ARGV / 4) - #ARGV / 4
for at = 1, #ARGV, 4 do
  local id = ARGV[at]
  number = number + 1
  local fields = {"n", number, "t", "add", "q", "default", "s", "PENDING", "c", "1700000000.25"}
  redis.call("HSET", "penstock:task:" .. id, unpack(fields))
  index[#index + 1] = number; index[#index + 1] = id
  blobs[#blobs + 1] = "penstock:message:" .. id; blobs[#blobs + 1] = ARGV[at + 3]
  messages[#messages + 1] = ARGV[at + 2]
  waiting[#waiting + 1] = 0; waiting[#waiting + 1] = ARGV[at + 1]
  ids[#ids + 1] = id
end
redis.call("ZADD", "penstock:tasks", unpack(index))
redis.call("MSET", unpack(blobs))
redis.call("LPUSH", "default", unpack(messages))
redis.call("ZADD", "penstock:waiting:default", unpack(waiting))
redis.call("XADD", "penstock:feed", "*", "i", cmsgpack.pack(ids), "s", "PENDING")
"""
# ARGV: how many
_CLAIM = """
local messages = redis.call("RPOP", "default", ARGV[1])
if not messages then return {} end
local entries, scores, tags = {}, {}, {}
for number, message in ipairs(messages) do
  local tag = message:sub(32, message:find('"', 32, true) - 1)
  entries[#entries + 1] = "penstock|bare|0|" .. tag
  entries[#entries + 1] = "[" .. message .. ',"","default"]'
  scores[#scores + 1] = number
  scores[#scores + 1] = "penstock|bare|0|" .. tag
  tags[number] = tag
end
redis.call("ZREM", "penstock:waiting:default", unpack(tags))
redis.call("HSET", "unacked", unpack(entries))
redis.call("ZADD", "unacked_index", unpack(scores))
return messages
"""
# ARGV: time, pid, then id, field, result, what Celery's clients see, …
_FINISH = """
local ids, fields = {}, {}
for at = 3, #ARGV, 4 do
  local id, meta = ARGV[at], "celery-task-meta-" .. ARGV[at]
  local set = {"s", "SUCCESS", "f", ARGV[1], "w", "bare", "p", ARGV[2], "b", ARGV[1], "R", ARGV[at + 2]}
  redis.call("HSET", "penstock:task:" .. id, unpack(set))
  redis.call("SET", meta, ARGV[at + 3], "EX", 604800)
  redis.call("PUBLISH", meta, ARGV[at + 3])
  ids[#ids + 1] = id
  fields[#fields + 1] = ARGV[at + 1]
end
redis.call("HDEL", "unacked", unpack(fields))
redis.call("ZREM", "unacked_index", unpack(fields))
redis.call("XADD", "penstock:feed", "*", "i", cmsgpack.pack(ids), "s", "SUCCESS")
redis.call("ZADD", "penstock:ended", math.floor(ARGV[1]), cmsgpack.pack(ids))
redis.call("HINCRBY", "penstock:counts", "SUCCESS", #ids)
"""

_client = redis.Redis.from_url(os.environ["BENCH_URL"])
_submit, _claim, _finish = (_client.register_script(text) for text in (_SUBMIT, _CLAIM, _FINISH))
_made: deque[tuple[str, str, bytes, bytes]] = deque()


def ready(count: int, task: str, args: Sequence[Any]) -> None:
    """Make so many messages before the clock runs."""
    sample = new_id()
    message = encode_task(task=task, task_id=sample, args=args, kwargs={}, queue="default")
    tag = f"{sample}~{int(time.time() * 1000):012x}"
    envelope, blob = encode(message, f"{tag}{0:018x}"), message_blob(message)
    for number in range(count):
        other = sample[:-8] + f"{number:08x}"
        old, new = sample.encode(), other.encode()
        _made.append((other, f"{other}{tag[len(other) :]}{0:018x}", envelope.replace(old, new), blob.replace(old, new)))


def send(_task: str, *_args: Any) -> None:
    _submit(args=_made.popleft())


def send_many(_task: str, many: Sequence[Any]) -> None:
    for first in range(0, len(many), BATCH):
        size = min(BATCH, len(many) - first)
        _submit(args=[part for _ in range(size) for part in _made.popleft()])


def drain(task: str) -> None:
    """Claim, run, record and settle until nothing is left."""
    run, pid = TASKS[task], os.getpid()
    ended: list[str] = []
    while True:
        pipeline = _client.pipeline(transaction=False)
        if ended:
            _finish(args=[time.time(), pid, *ended], client=pipeline)
        _claim(args=[BATCH], client=pipeline)
        messages = pipeline.execute()[-1]
        if not messages:
            return
        ended = []
        for raw in messages:
            envelope = json.loads(raw)
            task_id = envelope["headers"]["id"]
            result = str(run(1, 2))
            told = '{"status": "SUCCESS", "result": %s, "traceback": null, "children": [], "task_id": "%s"}'
            tag = envelope["properties"]["delivery_tag"]
            ended += [task_id, f"penstock|bare|0|{tag}", result, told % (result, task_id)]


if __name__ == "__main__":
    drain(sys.argv[1])
