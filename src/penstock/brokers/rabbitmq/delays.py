"""Delays in kombu's native topology (celery-protocol §3.1): names, keys and arguments. Pure.

28 levels, each a queue that holds messages for 2^level seconds. The routing key spells the delay in binary: a message
waits at the level of each 1, and goes past the level of each 0.
"""

from __future__ import annotations

import math
from typing import Any, Final

LEVELS: Final = 28
LONGEST: Final = 2**LEVELS - 1  #: seconds, eight and a half years
DELIVERY: Final = "celery_delayed_delivery"  #: the exchange that delayed messages leave by
_LARGEST_KEY: Final = 255
_EARLY: Final = 0.01  # seconds by which the server's own timers may be ahead


def name(level: int) -> str:
    """The queue and the exchange of a level."""
    return f"celery_delayed_{level}"


def seconds(delay: float) -> int:
    """Whole seconds, never less than asked for."""
    return min(LONGEST, max(1, math.ceil(delay + _EARLY)))


def level(delay: int) -> int:
    """The first level at which such a delay waits."""
    return delay.bit_length() - 1


def key(delay: int, target: str) -> str:
    """The routing key: the delay's 28 digits, then where to."""
    return ".".join(f"{delay:0{LEVELS}b}") + f".{target}"


def pattern(target: str) -> str:
    """What binds a queue to DELIVERY: every delay, exactly this target (`#.target` would also match `x.target`)."""
    return "*." * LEVELS + target


def fits(target: str) -> bool:
    """Whether the keys of a queue are short enough for AMQP."""
    return len(pattern(target).encode()) <= _LARGEST_KEY


def arguments(of_level: int) -> dict[str, Any]:
    """The arguments of a level's queue: equal to Celery's, which the server insists on."""
    return {
        "x-queue-type": "quorum",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-message-ttl": 2**of_level * 1000,
        "x-dead-letter-exchange": name(of_level - 1) if of_level else DELIVERY,
    }


def waits(of_level: int) -> str:
    """What leads from a level's exchange into its queue."""
    return "*." * (LEVELS - 1 - of_level) + "1.#"


def passes(of_level: int) -> str:
    """What leads from a level's exchange past it, to the next lower one."""
    return "*." * (LEVELS - 1 - of_level) + "0.#"
