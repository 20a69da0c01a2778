"""A cluster of three RabbitMQ nodes on this machine, whose queue `default` is of type quorum: what may lose a node.

`make cluster` (`python -m tests.cluster`) starts one for a person, prints its URL, and ends it at Ctrl-C. `make chaos`
breaks one on purpose.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
import sys
from typing import Self

from tests import servers
from tests.servers import RabbitMQ

NODES = 3
COOKIE = "penstock"
_DECLARE = (
    'amqqueue:is_amqqueue(element(2, rabbit_amqqueue:declare(rabbit_misc:r(<<"/">>, queue, <<"default">>), true, false,'
    ' [{<<"x-queue-type">>, longstr, <<"quorum">>}], none, <<"guest">>))).'
)


class Node(RabbitMQ):
    """A node of a cluster: the first one, or one that joins it."""

    def __init__(self, first: Node | None = None) -> None:
        self._first = first
        known = {"cluster_formation.classic_config.nodes.1": first.node} if first is not None else {}
        super().__init__(**known, cluster_partition_handling="pause_minority")

    def _prepare(self) -> None:
        super()._prepare()
        cookie = self.folder / ".erlang.cookie"
        cookie.write_text(COOKIE)
        cookie.chmod(0o400)

    def _names(self) -> None:
        if self._first is None:
            super()._names()
        else:
            self.epmd_port, self._epmd = self._first.epmd_port, self._first._epmd


class Cluster:
    """Three nodes; `kill` and `start` are of one of them at a time, each in turn. Use it as a context manager."""

    name = "RabbitMQ cluster"

    def __init__(self) -> None:
        first = Node()
        self.nodes = [first, *(Node(first) for _ in range(NODES - 1))]
        self._turns = itertools.cycle(self.nodes)
        self._down: list[Node] = []

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                node.start()
            self.nodes[0].control("await_online_nodes", str(NODES))
            self.nodes[0].control("eval", _DECLARE)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """With all hosts: a client that loses one goes on with the next."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"amqp://guest:guest@{hosts}//"

    def fresh(self) -> str:
        return self.url

    def kill(self) -> None:
        """SIGKILL the next node."""
        node = next(self._turns)
        node.kill()
        self._down.append(node)

    def start(self) -> None:
        """Start what was killed; return when it serves."""
        while self._down:
            self._down.pop().start()

    def messages(self) -> str:
        """Name, type, leader and number of messages of each queue, a line each."""
        return self.nodes[0].control("list_queues", "--no-table-headers", "name", "type", "leader", "messages")

    def close(self) -> None:
        for node in reversed(self.nodes):
            with contextlib.suppress(ProcessLookupError):
                node.close()


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM):  # in the background of a script, Ctrl-C is ignored until now
        signal.signal(number, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), Cluster() as cluster:
        print(f"PENSTOCK_BROKER_URL={cluster.url}")  # noqa: T201
        for node in cluster.nodes:
            print(f"{node.node}: port {node.port}, process {node.pid}")  # noqa: T201
        print("Ctrl-C ends it.", flush=True)  # noqa: T201
        signal.pause()
    servers.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
