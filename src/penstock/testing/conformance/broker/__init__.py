"""The broker contract (core.broker) as tests.

To bind them to a back end, give a test module the fixtures below (see `harness.py`) and the classes:

    globals().update(SUITES)        # take `harness`: one store for each test
    globals().update(DURABLE)       # take `durable`: a store that several processes can open and that outlives them

What a server cannot do by its protocol stands under a fixture of its own, given by all the others: `searchable`, a
store whose messages can be found and counted by task and time; `keeping`, a durable one with transactions, whose claims
outlive the connection that made them. RabbitMQ is neither: a message is found there by taking it.

harness        what a back end brings to the tests
samples        messages, and ways to fetch them
"""

from __future__ import annotations

from penstock.testing.conformance.broker import (
    claiming,
    commits,
    delaying,
    durability,
    fetching,
    holding,
    managing,
    publishing,
    queueing,
    several,
    waiting,
)

_TOGETHER = (claiming, commits, delaying, fetching, holding, managing, publishing, queueing, waiting)


def _suites(*modules: object) -> dict[str, type]:
    return {name: suite for module in modules for name, suite in vars(module).items() if name.startswith("Test")}


#: every class for every back end, by name
SUITES = _suites(*_TOGETHER)
#: those on durability and several processes: a store in memory is not given these
DURABLE = _suites(durability, several)
