"""What both worlds make on a server is the same, so that it does not matter who was there first."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import redis

from tests.celery.kit import SHARED_QUEUES, Fleet, fleet_of
from tests.processes import eventually
from tests.servers import RabbitMQ

Dump = dict[str, Any]


@pytest.fixture
def pair(mixed: Fleet, request: pytest.FixtureRequest) -> tuple[Fleet, Fleet]:
    """Two empty places: one for Celery, one for us."""
    other = fleet_of(mixed.kind, request, mixed.folder / "other")
    other.options = SHARED_QUEUES[other.kind]
    return mixed, other


_READ: dict[str, Any] = {
    "list": lambda db, key: db.lrange(key, 0, -1),
    "set": lambda db, key: db.smembers(key),
    "hash": lambda db, key: db.hgetall(key),
    "zset": lambda db, key: dict(db.zrange(key, 0, -1, withscores=True)),
    "string": lambda db, key: db.get(key),
}


def dump(fleet: Fleet) -> Dump:
    """Every key of Celery's layout: (its type, what it holds). Our own and the results are left out."""
    with redis.Redis.from_url(fleet.broker, decode_responses=True) as db:
        keys = [key for key in sorted(db.keys("*")) if not key.startswith(("penstock:", "celery-task-meta-"))]
        kinds = {key: db.type(key) for key in keys}
        return {key: (kind, _READ[kind](db, key)) for key, kind in kinds.items()}


def shape(value: Any, depth: int = 3) -> Any:
    """The names and types in a JSON value; ids and texts are left out."""
    if isinstance(value, dict) and depth:
        return {name: shape(each, depth - 1) for name, each in sorted(value.items())}
    return type(value).__name__


def envelopes(found: Dump) -> list[dict[str, Any]]:
    return [json.loads(each) for key, (kind, values) in found.items() if kind == "list" for each in values]


SEND = "[app.send_task('tasks.rest', [it], priority=each).id for each in (0, 1, 3, 5, 6, 9)]"


@pytest.mark.parametrize("mixed", ["redis"], indirect=True)
def test_waiting_tasks_stand_in_the_same_keys(pair: tuple[Fleet, Fleet]) -> None:
    theirs, ours = pair
    theirs.celery(SEND, 600)
    for each in (0, 1, 3, 5, 6, 9):
        ours.app.send_task("tasks.rest", [600], priority=each)
    celery, penstock = dump(theirs), dump(ours)
    assert penstock.keys() == celery.keys()
    bindings = [key for key in celery if key.startswith("_kombu.")]
    assert sorted(bindings) == ["_kombu.binding.celery", "_kombu.binding_permanent.celery"]
    for key in bindings:
        assert penstock[key] == celery[key]
    for key in celery.keys() - bindings:
        assert penstock[key][0] == celery[key][0] == "list"
        assert len(penstock[key][1]) == len(celery[key][1])
    wanted, made = envelopes(celery)[0], envelopes(penstock)[0]
    assert shape(made) == shape(wanted)
    assert json.loads(base64.b64decode(made["body"])) == json.loads(base64.b64decode(wanted["body"]))


@pytest.mark.parametrize("mixed", ["redis"], indirect=True)
def test_running_tasks_stand_in_the_same_keys(pair: tuple[Fleet, Fleet]) -> None:
    theirs, ours = pair
    with theirs.celery_worker(ACKS_LATE="1"), ours.worker("--threads", "1"):
        theirs.begun(theirs.celery("app.send_task('tasks.rest', [600]).id"))
        ours.begun(ours.app.send_task("tasks.rest", [600]).id)
        celery, penstock = dump(theirs), dump(ours)
    for found in celery, penstock:
        [(tag, entry)] = found["unacked"][1].items()
        [(index, since)] = found["unacked_index"][1].items()
        assert tag == index
        assert since > 1.7e9
        envelope, exchange, routing_key = json.loads(entry)
        assert (exchange, routing_key) == ("", "celery")
        assert envelope["headers"]["task"] == "tasks.rest"
    kinds = {key: kind for key, (kind, _) in celery.items() if "pidbox" not in key and "celeryev" not in key}
    assert {key: kind for key, (kind, _) in penstock.items()} == {
        key: kind for key, kind in kinds.items() if key != "unacked_mutex"
    }


@pytest.mark.parametrize("mixed", ["rabbitmq"], indirect=True)
def test_queues_and_bindings_are_the_same(pair: tuple[Fleet, Fleet], rabbitmq_server: RabbitMQ) -> None:
    theirs, ours = pair
    with theirs.celery_worker(), ours.worker():
        theirs.begun(theirs.celery("app.send_task('tasks.add', [1]).id"))
        ours.ended(ours.app.send_task("tasks.add", [1]).id)
        path = theirs.folder / "definitions.json"
        rabbitmq_server.control("export_definitions", str(path))
    celery, penstock = (_definitions(json.loads(path.read_bytes()), fleet) for fleet in pair)
    for what in ("queues", "exchanges", "bindings"):
        shared = [each for each in celery[what] if "celery" in (each.get("name"), each.get("destination"))]
        assert shared, what
        for each in shared:
            assert each in penstock[what]


def _definitions(found: dict[str, list[dict[str, Any]]], fleet: Fleet) -> dict[str, list[dict[str, Any]]]:
    """What there is in the fleet's virtual host, whose name is left out."""
    vhost = fleet.broker.rpartition("/")[2]
    return {
        what: [{**each, "vhost": ""} for each in found[what] if each["vhost"] == vhost]
        for what in ("queues", "exchanges", "bindings")
    }


@pytest.mark.parametrize("first", ["celery", "penstock"])
def test_it_does_not_matter_who_comes_first(mixed: Fleet, first: str) -> None:
    """Queues are made by whoever comes first: producer or worker, and a second one finds them as it would make them."""
    if first == "celery":
        with mixed.celery_worker():
            mixed.begun(mixed.celery("app.send_task('tasks.add', [1]).id"))
            with mixed.worker():
                _both(mixed)
    else:
        with mixed.worker():
            mixed.begun(mixed.app.send_task("tasks.add", [1]).id)
            with mixed.celery_worker():
                _both(mixed)


def _both(mixed: Fleet) -> None:
    """Somebody of either kind takes tasks of either kind."""

    def probe() -> bool:
        mixed.celery("[app.send_task('tasks.rest', [0.05]).id for _ in range(10)]")
        mixed.app.send_task("tasks.rest", [0.05])
        return {who for _, _, who, *_ in mixed.lines()} == {"celery", "penstock"}

    eventually(probe, every=0.5, what="both kinds to work")
