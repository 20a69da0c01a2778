"""The page "Moving from Celery": what it says works unchanged does, and each of its differences is one."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from penstock import Penstock
from penstock.core.errors import ConfigurationError
from penstock.core.settings import Settings
from tests.celery.kit import HERE, Fleet
from tests.processes import PENSTOCK, Launched, clean_environment

IDIOMS = """
import json
from penstock_app import add, app, echo, fail, flaky, seen

told = {}
told["delay"] = add.delay(2, 3).get(timeout=60)
options = {"countdown": 0.1, "expires": 60, "priority": 3, "queue": "celery"}
told["apply_async"] = add.apply_async((2,), {"y": 4}, **options).get(timeout=60)
told["send_task"] = app.send_task("tasks.add", args=[1], kwargs={"y": 1}).get(timeout=60)
told["AsyncResult"] = app.AsyncResult(add.delay(5, 5).id).get(timeout=60)
told["retry"] = flaky.delay(2).get(timeout=60)
told["request"] = seen.apply_async(task_id="my-own-id", headers={"x-custom": "v"}).get(timeout=60)
failed = fail.delay("boom")
try:
    failed.get(timeout=60)
except ValueError as error:
    told["raised"] = str(error)
told["state"] = [failed.state, failed.status, failed.ready(), failed.successful(), failed.failed()]
told["traceback"] = failed.traceback.splitlines()[0]
told["called"] = add(1, 2)
told["unknown"] = app.AsyncResult("never sent").state
print(json.dumps(told))
"""


@pytest.mark.parametrize("fleet", ["redis"], indirect=True)
def test_celerys_idioms_and_variables_work_unchanged(fleet: Fleet) -> None:
    env = {
        "CELERY_BROKER_URL": fleet.broker,
        "CELERY_RESULT_BACKEND": fleet.backend,
        "PENSTOCK_DEFAULT_QUEUE": "celery",
        "LEDGER": str(fleet.ledger),
        "PYTHONPATH": str(HERE),
    }
    worker = Launched([PENSTOCK, "worker", "penstock_app:app", "-Q", "celery", "--processes", "1"], fleet.folder, env)
    try:
        worker.prints("ready:")
        done = subprocess.run(
            [sys.executable, "-c", IDIOMS], cwd=fleet.folder, env={**clean_environment(), **env}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
    finally:
        worker.clean()
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    request = told.pop("request")
    assert told == {
        "delay": 5,
        "apply_async": 6,
        "send_task": 2,
        "AsyncResult": 10,
        "retry": 2,
        "raised": "boom",
        "state": ["FAILURE", "FAILURE", True, False, True],
        "traceback": "Traceback (most recent call last):",
        "called": 3,
        "unknown": "PENDING",
    }
    assert (request["id"], request["custom"], request["retries"]) == ("my-own-id", "v", 0)
    assert request["delivery_info"]["routing_key"] == "celery"


@pytest.fixture
def shop() -> Penstock:
    return Penstock("shop", broker="memory://moving")


def test_a_tasks_name_is_its_functions_unless_given(shop: Penstock) -> None:
    assert shop.task(lambda_).name == "lambda_"
    assert shop.task(name="tasks.add")(lambda x: x).name == "tasks.add"


def lambda_() -> None:
    pass


@pytest.mark.parametrize("name", ["s", "si", "signature", "chunks", "map", "replace"])
def test_workflows_say_that_they_come_later(shop: Penstock, name: str) -> None:
    task = shop.task(name="add")(lambda x: x)
    with pytest.raises(AttributeError, match="workflows come in a later version"):
        getattr(task, name)


@pytest.mark.parametrize(
    ("option", "value"),
    [("acks_late", False), ("serializer", "pickle"), ("rate_limit", "10/m"), ("compression", "gzip"), ("link", ["x"])],
)
def test_options_that_mean_something_else_here_are_refused(shop: Penstock, option: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=option):
        shop.task(**{"name": "add", option: value})(lambda x: x)  # type: ignore[call-overload]


def test_exchanges_and_routing_keys_are_refused(shop: Penstock) -> None:
    shop.task(name="add")(lambda x: x)
    with pytest.raises(Exception, match="give queue"):
        shop.send_task("add", [1], routing_key="x")


def test_rpc_is_no_place_for_records() -> None:
    with pytest.raises(ConfigurationError, match="CELERY_RESULT_BACKEND: rpc:// answers to the sender only"):
        Settings.load({"CELERY_BROKER_URL": "redis://localhost", "CELERY_RESULT_BACKEND": "rpc://"})


def test_celerys_variables_are_read_where_ours_are_unset() -> None:
    for name in ("CELERY_BROKER_URL", "CELERY_BROKER_URI"):
        assert Settings.load({name: "redis://localhost/3"}).broker_url == "redis://localhost/3"
    ours = {"CELERY_BROKER_URL": "redis://theirs", "PENSTOCK_BROKER_URL": "redis://ours"}
    assert Settings.load(ours).broker_url == "redis://ours"


def test_a_task_id_that_has_ended_is_not_run_again(served: Fleet) -> None:
    send = "app.send_task('tasks.add', [1, 1], task_id='once').id"
    served.ended(served.celery(send))
    served.celery(send)
    served.ended(served.celery("app.send_task('tasks.add', [1]).id"))
    time.sleep(0.2)
    assert served.runs()["once"] == 1


def test_a_plain_retry_comes_within_seconds(served: Fleet) -> None:
    """Celery waits for three minutes."""
    sent = served.app.send_task("tasks.again")
    assert sent.get(timeout=60) == 1


def test_an_ignored_result_leaves_a_record(served: Fleet) -> None:
    [record] = served.ended(served.app.send_task("tasks.silent").id)
    assert (record.state, record.result) == ("SUCCESS", None)
