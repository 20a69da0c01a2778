"""One lease of a child, and what is claimed under it. When the lease is lost, so is everything held under it."""

from __future__ import annotations

from penstock.core.broker import Consumer


class Session:
    """A lease and the consumer that claims under it. A child has one at a time, a new one after a loss."""

    def __init__(self, lease: str, consumer: Consumer) -> None:
        self.lease = lease
        self.consumer = consumer
        self.alive = True  #: False: others may have what was held; nothing of it is written any more
