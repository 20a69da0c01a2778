"""Looking at tasks, cancelling and retrying them, one or many."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.client import operations
from penstock.core import search
from penstock.core.message import Message
from penstock.core.record import Record
from tests.unit.api.shop import NOW, WORKER, Shop


async def failed(shop: Shop, **options: Any) -> str:
    task_id = await shop.submit(**options)
    await shop.work(error=ValueError("no", 5))
    return task_id


async def running(shop: Shop) -> str:
    task_id = await shop.submit()
    (delivery,) = await shop.claim()
    await shop.start(delivery)
    return task_id


class TestOne:
    async def test_a_task_that_waits_is_shown_whole(self) -> None:
        async with Shop() as shop:
            task_id = await shop.submit("add", 2, kwargs={"y": 3}, priority=5)
            assert await shop.show(task_id) == {
                "task_id": task_id,
                "task": "add",
                "status": "PENDING",
                "queue": "default",
                "priority": 5,
                "retries": 0,
                "worker": None,
                "created_at": "2027-01-15T08:00:00Z",
                "eta": None,
                "expires": None,
                "started_at": None,
                "finished_at": None,
                "runtime": None,
                "time_limit": None,
                "soft_time_limit": None,
                "deliveries": 0,
                "generation": 0,
                "cancelling": False,
                "parent_id": None,
                "root_id": task_id,
                "args": [2],
                "kwargs": {"y": 3},
                "result": None,
                "progress": None,
                "traceback": None,
                "children": [],
                "attempts": [],
            }

    async def test_a_result_is_its_value(self) -> None:
        async with Shop() as shop:
            task_id = await shop.submit()
            await shop.work(result=b'{"sum": 5}')
            found = await shop.show(task_id)
            assert (found["status"], found["result"], found["runtime"]) == ("SUCCESS", {"sum": 5}, 0.25)
            assert found["finished_at"] == "2027-01-15T08:00:00.250000Z"
            assert found["worker"] == WORKER
            (attempt,) = found["attempts"]
            assert (attempt["number"], attempt["status"], attempt["pid"], attempt["error"]) == (1, "SUCCESS", 7, None)

    async def test_a_failure_shows_its_exception(self) -> None:
        async with Shop() as shop:
            found = await shop.show(await failed(shop))
            error = {"exc_type": "ValueError", "exc_message": ["no", 5], "exc_module": "builtins"}
            assert (found["status"], found["result"]) == ("FAILURE", error)
            assert found["attempts"][0]["error"] == error
            assert found["traceback"].startswith("Traceback")

    async def test_typed_forms_are_shown_as_plain_values(self) -> None:
        typed = b'{"at": {"__type__": "datetime", "__value__": "2027-01-15T08:00:00+00:00"}, "d": {"__type__": '
        typed += b'"decimal", "__value__": "1.50"}, "u": {"__type__": "uuid", "__value__": {"hex": "%032x"}}}' % 5
        async with Shop() as shop:
            task_id = await shop.submit()
            await shop.work(result=typed)
            assert (await shop.show(task_id))["result"] == {
                "at": "2027-01-15T08:00:00Z",
                "d": "1.50",
                "u": "00000000-0000-0000-0000-000000000005",
            }

    @pytest.mark.parametrize(
        ("raw", "shown"), [(b"[NaN, Infinity, 1]", [None, None, 1]), (b'"\\u00e4"', "ä"), (b'"NaN"', "NaN")]
    )
    async def test_what_json_does_not_know_is_shown_as_what_it_does(self, raw: bytes, shown: Any) -> None:
        async with Shop() as shop:
            task_id = await shop.submit()
            await shop.work(result=raw)
            assert (await shop.show(task_id))["result"] == shown

    @pytest.mark.parametrize("raw", [b'["\\u00e4\\ud800"]', b'{"__type__": "datetime", "__value__": "soon"}'])
    async def test_a_value_that_cannot_be_shown_is_told_as_text(self, raw: bytes) -> None:
        async with Shop() as shop:
            task_id = await shop.submit()
            await shop.work(result=raw)
            assert isinstance((await shop.show(task_id))["result"], str)

    async def test_arguments_that_cannot_be_read_are_null(self) -> None:
        async with Shop() as shop:
            message = Message(b"\x80\x04", {"id": "p", "task": "t"}, {"content_type": "application/x-python-serialize"})
            record = Record(task_id="p", task="t", state="FAILURE", queue="q", message=message, created_at=NOW)
            await shop.backends.results.records.create([record])
            found = await shop.show("p")
            assert (found["args"], found["kwargs"]) == (None, None)

    async def test_an_unknown_id_is_404(self) -> None:
        async with Shop() as shop:
            for method, path in (("GET", "/tasks/x"), ("DELETE", "/tasks/x"), ("POST", "/tasks/x/retry")):
                answer = await shop(method, path)
                assert answer.status_code == 404
                assert answer.headers["content-type"] == "application/problem+json"


class TestPages:
    async def test_newest_first_and_a_cursor_for_the_rest(self) -> None:
        async with Shop() as shop:
            ids = []
            for number in range(5):
                shop.clock.now += 1
                ids.append(await shop.submit("add", number))
            first = (await shop("GET", "/tasks?limit=3")).json()
            shop.clock.now += 1
            await shop.submit("add", 99)
            rest = (await shop("GET", "/tasks", params={"limit": 3, "cursor": first["next"]})).json()
            assert [item["task_id"] for item in first["items"] + rest["items"]] == ids[::-1]
            assert rest["next"] is None

    async def test_every_filter_narrows(self) -> None:
        async with Shop() as shop:
            done = await shop.submit("add", 987654321)
            await shop.work()
            shop.clock.now += 10
            waiting = await shop.submit("nothing", queue="other", args=[])
            for query, expected in {
                "status=SUCCESS": [done],
                "status=SUCCESS&status=PENDING": [waiting, done],
                "task=nothing": [waiting],
                "queue=other": [waiting],
                f"worker={WORKER}": [done],
                "q=987654321": [done],
                "since=2027-01-15T08:00:05Z": [waiting],
                "until=2027-01-15T09:00:05%2B01:00": [done],
                "until=2027-01-15T09:00:05+01:00": [done],
                "task=nothing&status=SUCCESS": [],
            }.items():
                found = (await shop("GET", f"/tasks?{query}")).json()["items"]
                assert [item["task_id"] for item in found] == expected, query

    async def test_long_values_are_left_out_of_lists_and_named(self) -> None:
        async with Shop() as shop:
            task_id = await shop.submit()
            await shop.work(result=b'"' + b"x" * 5000 + b'"')
            (item,) = (await shop("GET", "/tasks")).json()["items"]
            assert (item["result"], item["omitted"], item["args"]) == (None, ["result"], [2, 3])
            assert len((await shop.show(task_id))["result"]) == 5000

    @pytest.mark.parametrize(
        "query",
        [
            "limit=0",
            "limit=1001",
            "limit=ten",
            "limit=1&limit=2",
            "limit=",
            "cursor=nonsense",
            "status=DONE",
            "status=",
            "since=yesterday",
            "since=2027-13-01T00:00:00Z",
            "q=%00",
            "q=%ff",
            "nonsense=1",
        ],
    )
    async def test_a_bad_query_is_400_naming_the_parameter(self, query: str) -> None:
        async with Shop() as shop:
            answer = await shop("GET", f"/tasks?{query}")
            assert answer.status_code == 400
            if query != "q=%ff":
                assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


class TestCancel:
    async def test_a_task_that_waits_never_starts(self) -> None:
        async with Shop() as shop:
            task_id = await shop.submit()
            answer = await shop("DELETE", f"/tasks/{task_id}")
            assert (answer.status_code, answer.json()["status"]) == (200, "REVOKED")
            assert answer.json()["result"]["exc_type"] == "TaskRevokedError"
            (queue,) = (await shop("GET", "/queues")).json()["items"]
            assert queue["ready"] == 0

    async def test_a_claimed_task_is_left_to_its_worker(self) -> None:
        async with Shop() as shop:
            await shop.hire()
            task_id = await shop.submit()
            await shop.claim()
            answer = await shop("DELETE", f"/tasks/{task_id}")
            assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
            assert answer.json()["cancelling"]
            (letter,) = await shop.backends.results.mailbox.take(WORKER)
            assert (letter.method, letter.arguments["task_ids"]) == ("cancel", [task_id])

    async def test_a_running_task_needs_the_option_that_says_so(self) -> None:
        async with Shop() as shop:
            await shop.hire()
            task_id = await running(shop)
            refused = await shop("DELETE", f"/tasks/{task_id}")
            assert refused.status_code == 409
            assert "terminate" in refused.json()["detail"]
            assert refused.json()["state"] == "STARTED"
            assert (await shop("DELETE", f"/tasks/{task_id}?terminate=true")).status_code == 202

    async def test_an_ended_task_is_409(self) -> None:
        async with Shop() as shop:
            task_id = await failed(shop)
            assert (await shop("DELETE", f"/tasks/{task_id}")).status_code == 409

    async def test_by_filter_and_first_as_a_dry_run(self) -> None:
        async with Shop() as shop:
            kept = await shop.submit(queue="other")
            for _ in range(3):
                await shop.submit()
            dry = (await shop("POST", "/tasks/cancel?queue=default&dry_run")).json()
            assert dry == {"matched": 3, "done": 0, "left": 3, "dry_run": True}
            wet = (await shop("POST", "/tasks/cancel?queue=default")).json()
            assert wet == {"matched": 3, "done": 3, "left": 0, "dry_run": False}
            assert (await shop.show(kept))["status"] == "PENDING"

    async def test_a_search_tells_how_far_it_has_looked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(search, "AT_ONCE", 3)
        async with Shop() as shop:
            for n in range(5):
                await shop.submit(task_id=f"t{n}")
            first = (await shop("GET", "/tasks?q=t0")).json()
            middle = (await shop("GET", "/tasks/t2")).json()
            assert (first["items"], first["reached"]) == ([], middle["created_at"])
            second = (await shop("GET", f"/tasks?q=t0&cursor={first['next']}")).json()
            assert [item["task_id"] for item in second.pop("items")] == ["t0"]
            assert second == {"next": None}

    async def test_a_quick_count_says_where_it_stopped_and_goes_on_from_there(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search, "AT_ONCE", 3)
        monkeypatch.setattr(search, "FAR", 3)
        monkeypatch.setattr(operations, "MOMENT", 0.0)
        async with Shop() as shop:
            for n in range(4):
                await shop.submit(task_id=f"t{n}")
            for query, first, rest in (("all", 3, 1), ("queue=default", 3, 1), ("q=t0", 0, 1), ("q=t", 3, 1)):
                found = (await shop("POST", f"/tasks/cancel?{query}&dry_run&quick")).json()
                assert (found["matched"], found["done"]) == (first, 0), query
                assert found["reached"] == (await shop("GET", "/tasks/t1")).json()["created_at"]
                found = (await shop("POST", f"/tasks/cancel?{query}&dry_run&quick&cursor={found['next']}")).json()
                assert found == {"matched": rest, "done": 0, "left": rest, "next": None, "dry_run": True}, query
            assert (await shop("POST", "/tasks/cancel?all&dry_run&quick&cursor=7&status=RETRY")).status_code == 200
            exact = (await shop("POST", "/tasks/cancel?q=t0&dry_run")).json()
            assert exact == {"matched": 1, "done": 0, "left": 1, "dry_run": True}
            # without a dry run everything is counted and done
            assert (await shop("POST", "/tasks/cancel?q=t&quick&expect=4")).json()["done"] == 4

    async def test_by_filter_running_tasks_are_passed_over(self) -> None:
        async with Shop() as shop:
            await running(shop)
            await shop.submit()
            found = (await shop("POST", "/tasks/cancel?all=true")).json()
            assert (found["matched"], found["done"], found["left"]) == (2, 1, 1)

    async def test_states_that_cannot_be_cancelled_match_nothing(self) -> None:
        async with Shop() as shop:
            await failed(shop)
            assert (await shop("POST", "/tasks/cancel?status=FAILURE")).json()["matched"] == 0

    async def test_everything_must_be_said(self) -> None:
        async with Shop() as shop:
            for path in ("/tasks/cancel", "/tasks/retry", "/dead/replay", "/dead/discard"):
                assert (await shop("POST", path)).json()["dry_run"]
                assert not (await shop("POST", f"{path}?all=true")).json()["dry_run"]


class TestRetry:
    async def test_a_failed_task_runs_again_under_its_id(self) -> None:
        async with Shop() as shop:
            task_id = await failed(shop)
            answer = await shop("POST", f"/tasks/{task_id}/retry")
            assert answer.status_code == 202
            assert answer.json() == {"task_id": task_id, "status": "PENDING"}
            assert answer.headers["location"] == f"/tasks/{task_id}"
            await shop.work()
            found = await shop.show(task_id)
            assert (found["status"], found["generation"]) == ("SUCCESS", 1)
            assert [attempt["status"] for attempt in found["attempts"]] == ["FAILURE", "SUCCESS"]

    async def test_only_what_failed_or_was_revoked(self) -> None:
        async with Shop() as shop:
            task_id = await shop.submit()
            answer = await shop("POST", f"/tasks/{task_id}/retry")
            assert (answer.status_code, answer.json()["state"]) == (409, "PENDING")

    async def test_by_filter(self) -> None:
        async with Shop() as shop:
            ids = {await failed(shop), await failed(shop)}
            await shop.submit()
            await shop.work()
            assert (await shop("POST", "/tasks/retry?task=add&dry_run=true")).json()["matched"] == 2
            assert (await shop("POST", "/tasks/retry?task=add")).json()["done"] == 2
            waiting = (await shop("GET", "/tasks?status=PENDING")).json()["items"]
            assert {item["task_id"] for item in waiting} == ids
