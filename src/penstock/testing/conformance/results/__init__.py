"""The result-backend contracts (core.results) as tests.

To bind them to a back end, give a test module the fixtures `harness` and `durable` (see `harness.py`) and the classes:

    globals().update(SUITES)        # take `harness`: one store for each test
    globals().update(DURABLE)       # take `durable`: a store that several processes can open and that outlives them

harness        what a back end brings to the tests
samples        records, deliveries, starts and endings to play with
"""

from __future__ import annotations

from types import ModuleType

from penstock.testing.conformance.results import (
    cancelling,
    commits,
    creating,
    dead_letters,
    durability,
    feed,
    keys,
    leases,
    listing,
    logs,
    mailbox,
    mending,
    retention,
    running,
    schedules,
    searching,
    standing,
    workers,
)

_TOGETHER = (
    cancelling,
    commits,
    creating,
    dead_letters,
    feed,
    keys,
    leases,
    listing,
    logs,
    mailbox,
    mending,
    retention,
    running,
    schedules,
    searching,
    standing,
    workers,
)


def _suites(*modules: ModuleType) -> dict[str, type]:
    found: dict[str, type] = {}
    for module in modules:
        for name, suite in vars(module).items():
            if name.startswith("Test"):
                assert name not in found, f"{name} of {module.__name__} would hide a suite of the same name"
                found[name] = suite
    return found


#: every class for every back end, by name
SUITES = _suites(*_TOGETHER)
#: those on durability and several processes: a store in memory is not given these
DURABLE = _suites(durability)
