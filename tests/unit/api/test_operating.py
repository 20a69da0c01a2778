"""Queues, dead letters, workers and schedules."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.client import letters
from penstock.core.message import Message
from penstock.core.record import DeadLetter
from penstock.core.schedule import Schedule
from tests.unit.api.shop import NOW, WORKER, Shop

RAW = {"content-type": "application/octet-stream"}


class TestQueues:
    async def test_they_are_listed_with_what_waits_and_who_takes(self) -> None:
        async with Shop() as shop:
            await shop.submit()
            await shop.submit(countdown=60)
            await shop.hire(queues=["default", "empty"])
            page = (await shop("GET", "/queues")).json()
            assert page["next"] is None
            assert page["items"] == [
                {
                    "name": "default", "ready": 1, "delayed": 1, "claimed": 0, "paused": False,
                    "oldest": "2027-01-15T08:00:00Z", "workers": 1,
                },
                {
                    "name": "empty", "ready": 0, "delayed": 0, "claimed": 0, "paused": False,
                    "oldest": None, "workers": 1,
                },
            ]  # fmt: skip

    async def test_one_can_be_paused_and_resumed_even_before_it_exists(self) -> None:
        async with Shop() as shop:
            assert (await shop("POST", "/queues/later/pause")).json() == {"name": "later", "paused": True}
            await shop.submit(queue="later")
            (queue,) = (await shop("GET", "/queues")).json()["items"]
            assert queue["paused"]
            assert (await shop("POST", "/queues/later/resume")).json() == {"name": "later", "paused": False}

    async def test_purging_ends_what_waits(self) -> None:
        async with Shop() as shop:
            task_id = await shop.submit()
            assert (await shop("POST", "/queues/default/purge")).json() == {"name": "default", "purged": 1}
            found = await shop.show(task_id)
            assert (found["status"], found["result"]["exc_message"]) == ("REVOKED", ["purged"])

    async def test_a_raw_message_arrives_as_it_was_sent(self) -> None:
        async with Shop() as shop:
            answer = await shop("POST", "/queues/images/messages?priority=9", content=b"\x00\xff", headers=RAW)
            assert (answer.status_code, answer.json()) == (202, {"queue": "images", "size": 2})
            (delivery,) = await shop.claim("images")
            assert delivery.message.body == b"\x00\xff"
            assert delivery.message.properties["content_type"] == "application/octet-stream"
            assert (delivery.message.task_id, delivery.message.priority) == ("", 9)

    async def test_a_raw_message_may_be_empty_and_has_a_limit_of_its_own(self) -> None:
        async with Shop(max_raw_body=10, max_body=5) as shop:
            assert (await shop("POST", "/queues/q/messages")).status_code == 202
            assert (await shop("POST", "/queues/q/messages", content=b"x" * 10, headers=RAW)).status_code == 202
            assert (await shop("POST", "/queues/q/messages", content=b"x" * 11, headers=RAW)).status_code == 413

    @pytest.mark.parametrize("name", ["a%0Ab", "x" * 256])
    async def test_a_name_that_no_queue_can_have_is_400(self, name: str) -> None:
        async with Shop() as shop:
            assert (await shop("POST", f"/queues/{name}/pause")).status_code == 400


def letter(number: int, **more: Any) -> DeadLetter:
    described: dict[str, Any] = {
        "id": f"d{number}", "queue": "q", "reason": "rejected", "detail": "why", "died_at": NOW + number,
        "message": Message(b'{"a": 1}', {"h": 1}, {"content_type": "application/json"}, "q"),
    }  # fmt: skip
    return DeadLetter(**described | more)


async def dead(shop: Shop, *found: DeadLetter) -> None:
    await shop.backends.results.dead.add(found)


class TestDeadLetters:
    async def test_they_are_listed_newest_first_by_cursor_and_filter(self) -> None:
        async with Shop() as shop:
            await dead(shop, letter(1), letter(2), letter(3, queue="other", reason="undecodable"))
            first = (await shop("GET", "/dead?limit=2")).json()
            rest = (await shop("GET", "/dead", params={"limit": 2, "cursor": first["next"]})).json()
            assert [each["id"] for each in first["items"] + rest["items"]] == ["d3", "d2", "d1"]
            for query, ids in {"queue=other": ["d3"], "reason=rejected": ["d2", "d1"], "queue=q&reason=x": []}.items():
                assert [each["id"] for each in (await shop("GET", f"/dead?{query}")).json()["items"]] == ids
            assert (await shop("GET", "/dead?cursor=nonsense")).status_code == 400

    async def test_one_is_shown_with_its_message(self) -> None:
        async with Shop() as shop:
            await dead(shop, letter(1), letter(2, message=Message(b"\xff\x00", queue="q")))
            text, binary = (await shop("GET", "/dead/d1")).json(), (await shop("GET", "/dead/d2")).json()
            assert (text["body"], text["body_encoding"], text["headers"]) == ('{"a": 1}', "utf-8", {"h": 1})
            assert (binary["body"], binary["body_encoding"], binary["size"]) == ("/wA=", "base64", 2)
            assert text["died_at"] == "2027-01-15T08:00:01Z"

    async def test_one_can_be_thrown_away_once(self) -> None:
        async with Shop() as shop:
            await dead(shop, letter(1))
            assert (await shop("DELETE", "/dead/d1")).status_code == 204
            assert (await shop("DELETE", "/dead/d1")).status_code == 404

    async def test_one_without_a_record_is_queued_again(self) -> None:
        async with Shop() as shop:
            await dead(shop, letter(1))
            answer = await shop("POST", "/dead/d1/replay")
            assert (answer.status_code, answer.json()) == (202, {"id": "d1", "queue": "q", "task_id": None})
            (delivery,) = await shop.claim("q")
            assert delivery.message.body == b'{"a": 1}'
            assert (await shop("GET", "/dead/d1")).status_code == 404

    async def test_one_with_a_record_is_the_tasks_retry(self) -> None:
        async with Shop() as shop:
            task_id = await shop.submit()
            await dead(shop, letter(1, task_id=task_id, task="add"))
            assert (await shop("POST", "/dead/d1/replay")).status_code == 409
            await shop.work(error=ValueError())
            answer = await shop("POST", "/dead/d1/replay")
            assert answer.json()["task_id"] == task_id
            assert (await shop.show(task_id))["generation"] == 1

    async def test_an_unknown_one_is_404(self) -> None:
        async with Shop() as shop:
            for method, path in (("GET", "/dead/x"), ("DELETE", "/dead/x"), ("POST", "/dead/x/replay")):
                assert (await shop(method, path)).status_code == 404

    async def test_many_by_filter_and_first_as_a_dry_run(self) -> None:
        async with Shop() as shop:
            await dead(shop, *(letter(number) for number in range(5)), letter(9, queue="other"))
            dry = (await shop("POST", "/dead/replay?queue=q&dry_run=true")).json()
            assert dry == {"matched": 5, "done": 0, "left": 5, "dry_run": True}
            wet = (await shop("POST", "/dead/replay?queue=q")).json()
            assert wet == {"matched": 5, "done": 5, "left": 0, "dry_run": False}
            assert len(await shop.claim("q")) == 5
            assert (await shop("POST", "/dead/discard?reason=rejected")).json()["done"] == 1
            assert (await shop("GET", "/dead")).json()["items"] == []

    async def test_what_cannot_be_replayed_is_left(self) -> None:
        async with Shop() as shop:
            task_id = await shop.submit()
            await dead(shop, letter(1), letter(2, task_id=task_id))
            found = (await shop("POST", "/dead/replay?all=true")).json()
            assert found == {"matched": 2, "done": 1, "left": 1, "dry_run": False}


async def answering(shop: Shop, content: dict[str, Any]) -> str:
    """A worker that answers one letter; the letter's method."""
    mailbox = shop.backends.results.mailbox
    watch = mailbox.watch(WORKER)
    while not (found := await mailbox.take(WORKER)):
        await watch.wait(5)
    await watch.close()
    await letters.answer(shop.backends, found[0], content)
    return found[0].method


class TestWorkers:
    async def test_they_are_listed(self) -> None:
        async with Shop() as shop:
            await shop.hire({"b": {}, "a": {}})
            (worker,) = (await shop("GET", "/workers")).json()["items"]
            assert (worker["name"], worker["tasks"], worker["processes"]) == (WORKER, ["a", "b"], 2)
            assert worker["started_at"] == "2027-01-15T08:00:00Z"

    @pytest.mark.parametrize(("method", "status"), [("ping", 200), ("stacks", 200), ("shutdown", 202)])
    async def test_a_letter_is_answered(self, method: str, status: int) -> None:
        async with Shop() as shop:
            await shop.hire()
            worker = asyncio.create_task(answering(shop, {"pid": 7}))
            answer = await shop("POST", f"/workers/{WORKER}/{method}")
            assert (answer.status_code, answer.json()) == (status, {"worker": WORKER, "answer": {"pid": 7}})
            assert await worker == method

    async def test_silence_is_504(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with Shop() as shop:
            await shop.hire()
            ask = letters.ask

            async def impatient(backends: Any, worker: str, method: str, **_: Any) -> Any:
                return await ask(backends, worker, method, timeout=0.01)

            monkeypatch.setattr(letters, "ask", impatient)
            answer = await shop("POST", f"/workers/{WORKER}/ping")
            assert answer.status_code == 504
            assert answer.json()["type"] == "urn:penstock:problem:no-answer"

    async def test_one_that_goes_without_an_answer_is_404_before_the_time_is_up(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(letters, "LOOK", 0.01)
        async with Shop() as shop:
            await shop.hire()
            asking = asyncio.create_task(shop("POST", f"/workers/{WORKER}/ping?timeout=30"))
            mailbox = shop.backends.results.mailbox
            watch = mailbox.watch(WORKER)
            while not await mailbox.take(WORKER):
                await watch.wait(5)
            await watch.close()
            await shop.backends.results.workers.leave(WORKER)
            answer = await asyncio.wait_for(asking, 10)
            assert answer.status_code == 404
            assert "went" in answer.json()["detail"]

    async def test_nobody_is_404(self) -> None:
        async with Shop() as shop:
            assert (await shop("POST", "/workers/x/ping")).status_code == 404
            assert (await shop("POST", "/workers/x/ping?timeout=0")).status_code == 400


async def planned(shop: Shop, **more: Any) -> None:
    plan = Schedule(name="nightly", task="add", args=(2,), kwargs={"y": 3}, every=60.0, **more)
    await shop.backends.results.schedules.sync("shop", [plan])


class TestSchedules:
    async def test_they_are_listed_and_shown(self) -> None:
        async with Shop() as shop:
            await planned(shop)
            (entry,) = (await shop("GET", "/schedules")).json()["items"]
            assert (await shop("GET", "/schedules/nightly")).json() == entry
            assert (entry["name"], entry["task"], entry["args"], entry["every"]) == ("nightly", "add", [2], 60.0)
            assert (entry["next_due"], entry["paused"]) == ("2027-01-15T08:01:00Z", False)

    async def test_one_is_paused_and_resumed(self) -> None:
        async with Shop() as shop:
            await planned(shop)
            assert (await shop("PATCH", "/schedules/nightly", json={"paused": True})).json()["paused"]
            assert (await shop("GET", "/schedules/nightly")).json()["paused"]
            assert not (await shop("PATCH", "/schedules/nightly", json={"paused": False})).json()["paused"]

    @pytest.mark.parametrize("content", [{}, {"paused": 1}, {"paused": True, "cron": "* * * * *"}, []])
    async def test_nothing_else_can_be_changed(self, content: Any) -> None:
        async with Shop() as shop:
            await planned(shop)
            assert (await shop("PATCH", "/schedules/nightly", json=content)).status_code == 422

    async def test_one_is_run_now(self) -> None:
        async with Shop() as shop:
            await planned(shop, options={"queue": "night"})
            answer = await shop("POST", "/schedules/nightly/run")
            found = await shop.show(answer.json()["task_id"])
            assert answer.status_code == 202
            assert (found["task"], found["args"], found["kwargs"], found["queue"]) == ("add", [2], {"y": 3}, "night")

    async def test_an_unknown_one_is_404(self) -> None:
        async with Shop() as shop:
            assert (await shop("GET", "/schedules/x")).status_code == 404
            assert (await shop("PATCH", "/schedules/x", json={"paused": True})).status_code == 404
            assert (await shop("POST", "/schedules/x/run")).status_code == 404
