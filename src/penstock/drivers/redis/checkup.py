"""What `penstock doctor` tells of a Redis server: version, login, clock, durability, memory."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from penstock.core.checkup import Finding, clock
from penstock.core.errors import PenstockError
from penstock.drivers.redis.address import Address
from penstock.drivers.redis.wire import Command

Ask = Callable[[Sequence[Command]], Awaitable[list[Any]]]

#: the first version with LMOVE, ZMSCORE, SMISMEMBER and pops of several
_OLDEST = (6, 2)
_MIB = 1 << 20
#: readers of the configuration may be refused it; the findings say so
_ASKED = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "save")


def too_old(info: bytes) -> str:
    """What is wrong with the server's version; "" if nothing is."""
    version = _fields(info).get("redis_version", "0")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    return "" if numbers >= _OLDEST else f"Redis {version} is too old; 6.2 or later is needed"


async def examined(ask: Ask, address: Address) -> list[Finding]:
    """Everything that can be looked at."""
    about, now = await ask([("INFO",), ("TIME",)])
    info = _fields(about)
    findings = [
        Finding("versions", "ok", f"Redis {info.get('redis_version', '?')}"),
        clock("the server's clock", int(now[0]) + int(now[1]) / 1e6 - time.time()),
    ]
    if address.password or address.path:
        findings.append(Finding("login", "ok", "with a password" if address.password else "over a unix socket"))
    else:
        findings.append(Finding("login", "weak", "no password is asked for: whoever reaches the port reads every task"))
    if info.get("role") == "slave":
        findings.append(Finding("role", "wrong", "it is a replica: name its master"))
    try:
        replies = await ask([("CONFIG", "GET", name) for name in _ASKED])
    except PenstockError:
        findings.append(Finding("durability", "weak", "CONFIG is refused; see to appendonly and noeviction yourself"))
        return findings
    found = {name: _second(reply) for name, reply in zip(_ASKED, replies, strict=True)}
    return [*findings, _durability(found), *_memory(found, info)]


def _durability(found: Mapping[str, str]) -> Finding:
    if found["appendonly"] != "yes":
        kept = "snapshots only" if found["save"] else "no persistence at all"
        return Finding("durability", "weak", f"{kept}: tasks are lost when the server dies; set appendonly yes")
    fsync = found["appendfsync"]
    if fsync == "always":
        return Finding("durability", "ok", "appendonly, appendfsync always: what was answered is on disk")
    lost = "the last second" if fsync == "everysec" else "the last half minute"
    return Finding("durability", "weak", f"appendonly, appendfsync {fsync}: a power cut may lose {lost} of tasks")


def _memory(found: Mapping[str, str], info: Mapping[str, str]) -> Iterator[Finding]:
    policy, limit = found["maxmemory-policy"], int(found["maxmemory"] or 0)
    used = int(info.get("used_memory", 0))
    told = f"{used // _MIB} MiB used of {limit // _MIB if limit else 'unlimited'}{' MiB' if limit else ''}"
    if policy != "noeviction":
        verdict = "wrong" if limit and policy.startswith("allkeys") else "weak"
        detail = f"maxmemory-policy {policy} deletes tasks when memory is short; set noeviction ({told})"
        yield Finding("memory", "wrong" if verdict == "wrong" else "weak", detail)
    elif limit and used > limit * 0.9:
        yield Finding("memory", "weak", f"{told}: nearly full")
    else:
        yield Finding("memory", "ok", f"noeviction, {told}")


def _fields(info: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in info.decode().splitlines() if ":" in line)
    return {name: value for name, _, value in lines}


def _second(reply: Sequence[bytes]) -> str:
    return reply[1].decode() if len(reply) > 1 else ""
