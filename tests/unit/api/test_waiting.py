"""`Prefer: wait=N` and `Idempotency-Key`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.api.idempotency import HELD, Idempotency, key_of
from penstock.api.prefer import wait_of
from penstock.core.errors import Unavailable
from tests.unit.api.shop import Shop

ADD: dict[str, Any] = {"task": "add", "args": [2, 3]}


def key(text: str = "k1", **more: str) -> dict[str, str]:
    return {"Idempotency-Key": text, **more}


async def count(shop: Shop) -> int:
    return len((await shop("GET", "/tasks?limit=1000")).json()["items"])


class TestPrefer:
    @pytest.mark.parametrize(
        ("given", "seconds"),
        [
            ("wait=5", 5.0),
            ("wait=0", 0.0),
            ("wait=600", 60.0),
            ('respond-async, WAIT="10"; x=y', 10.0),
            ("wait=1, wait=2", 1.0),
            ("wait", None),
            ("wait=soon", None),
            ("wait=-1", None),
            ("", None),
        ],
    )
    def test_what_is_not_understood_is_passed_over(self, given: str, seconds: float | None) -> None:
        assert wait_of(given) == seconds

    async def test_a_task_that_ends_in_time_is_the_answer(self) -> None:
        async with Shop() as shop:
            asking = asyncio.create_task(shop("POST", "/tasks", json=ADD, headers={"Prefer": "wait=30"}))
            await shop.until_queued()
            await shop.work()
            answer = await asking
            assert answer.status_code == 200
            assert answer.headers["preference-applied"] == "wait"
            assert (answer.json()["status"], answer.json()["result"]) == ("SUCCESS", 5)
            assert answer.headers["location"] == f"/tasks/{answer.json()['task_id']}"

    async def test_with_zero_nobody_waits(self) -> None:
        async with Shop() as shop:
            answer = await shop("POST", "/tasks", json=ADD, headers={"Prefer": "wait=0"})
            assert answer.status_code == 202
            assert "preference-applied" not in answer.headers

    async def test_at_shutdown_the_answer_is_202_at_once(self) -> None:
        async with Shop() as shop:
            asking = asyncio.create_task(shop("POST", "/tasks/add", json={"x": 1}, headers={"Prefer": "wait=60"}))
            await shop.until_queued()
            shop.api.drain()
            answer = await asyncio.wait_for(asking, 5)
            assert answer.status_code == 202
            late = await shop("POST", "/tasks/add", json={"x": 1}, headers={"Prefer": "wait=60"})
            assert late.status_code == 202


class TestIdempotency:
    @pytest.mark.parametrize("text", ["", "ä", "x" * 256, "a\tb"])
    def test_a_key_is_short_and_printable(self, text: str) -> None:
        with pytest.raises(ValueError, match="printable"):
            key_of(text)

    def test_quotes_do_not_make_another_key(self) -> None:
        assert key_of('"abc"') == key_of("abc") == "abc"

    async def test_the_same_request_queues_once_and_gets_the_same_answer(self) -> None:
        async with Shop() as shop:
            first = await shop("POST", "/tasks", json=ADD, headers=key())
            second = await shop("POST", "/tasks", json=ADD, headers=key('"k1"'))
            assert (first.status_code, first.json()) == (second.status_code, second.json())
            assert first.headers["location"] == second.headers["location"]
            assert await count(shop) == 1

    async def test_another_key_is_another_request(self) -> None:
        async with Shop() as shop:
            await shop("POST", "/tasks", json=ADD, headers=key("k1"))
            await shop("POST", "/tasks", json=ADD, headers=key("k2"))
            assert await count(shop) == 2

    async def test_holders_of_different_api_keys_do_not_meet(self) -> None:
        async with Shop(api_keys=("first-secret-of-many", "second-secret-of-all")) as shop:
            for secret in shop.app.settings.api_keys:
                answer = await shop("POST", "/tasks", json=ADD, headers=key("k1", **{"X-API-Key": secret}))
                assert answer.status_code == 202
            assert await count_as(shop, shop.app.settings.api_keys[0]) == 2

    @pytest.mark.parametrize(
        "other",
        [
            {"json": {"task": "add", "args": [2, 4]}},
            {"json": ADD, "path": "/tasks/add"},
        ],
    )
    async def test_a_different_request_is_422(self, other: dict[str, Any]) -> None:
        async with Shop() as shop:
            await shop("POST", "/tasks", json=ADD, headers=key())
            answer = await shop("POST", other.get("path", "/tasks"), json=other["json"], headers=key())
            assert answer.status_code == 422
            assert answer.json()["type"].endswith("idempotency-key-reused")

    async def test_a_malformed_key_is_400(self) -> None:
        async with Shop() as shop:
            answer = await shop("POST", "/tasks", json=ADD, headers=key("x" * 256))
            assert answer.status_code == 400
            assert answer.json()["errors"][0]["field"] == "Idempotency-Key"

    async def test_two_keys_are_400(self) -> None:
        async with Shop() as shop:
            headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
            answer = await shop("POST", "/tasks", json=ADD, headers=headers)
            assert answer.status_code == 400
            assert answer.json()["errors"] == [{"field": "Idempotency-Key", "message": "given twice"}]

    async def test_while_the_first_is_processed_the_second_is_409(self) -> None:
        async with Shop() as shop:
            there, gate, submit = asyncio.Event(), asyncio.Event(), shop.api.site.submitter.submit

            async def slow(submissions: Any) -> None:
                there.set()
                await gate.wait()
                await submit(submissions)

            shop.api.site.submitter.submit = slow  # type: ignore[method-assign]
            first = asyncio.create_task(shop("POST", "/tasks", json=ADD, headers=key()))
            await there.wait()
            second = await shop("POST", "/tasks", json=ADD, headers=key())
            assert second.status_code == 409
            assert second.headers["retry-after"] == "1"
            gate.set()
            assert (await first).status_code == 202

    @pytest.mark.parametrize(
        ("wrong", "status"),
        [({"task": "add", "args": ["x"]}, 422), ({"task": "ad"}, 404), ({**ADD, "task_id": "t"}, 409)],
    )
    async def test_a_request_that_was_refused_frees_its_key(self, wrong: dict[str, Any], status: int) -> None:
        async with Shop() as shop:
            await shop.submit(task_id="t")
            assert (await shop("POST", "/tasks", json=wrong, headers=key())).status_code == status
            assert (await shop("POST", "/tasks", json=ADD, headers=key())).status_code == 202

    async def test_a_reservation_of_a_server_that_died_is_resumed_with_its_own_id(self) -> None:
        async with Shop() as shop:
            died = await reserved(shop, publish=False)
            early = await shop("POST", "/tasks", json=ADD, headers=key())
            assert early.status_code == 409
            shop.clock.now += HELD + 1
            late = await shop("POST", "/tasks", json=ADD, headers=key())
            assert (late.status_code, late.json()["task_id"]) == (202, died)
            assert await count(shop) == 1

    async def test_what_the_server_that_died_had_queued_is_not_queued_again(self) -> None:
        async with Shop() as shop:
            died = await reserved(shop, publish=True)
            shop.clock.now += HELD + 1
            late = await shop("POST", "/tasks", json=ADD, headers=key())
            assert (late.status_code, late.json()["task_id"]) == (202, died)
            (queue,) = (await shop("GET", "/queues")).json()["items"]
            assert queue["ready"] == 1

    async def test_an_outage_leaves_the_request_to_be_resumed_at_once(self) -> None:
        async with Shop() as shop:
            submit, ids = shop.api.site.submitter.submit, []

            async def away(submissions: Any) -> None:
                ids.append(submissions[0].record.task_id)
                raise Unavailable("away")

            shop.api.site.submitter.submit = away  # type: ignore[method-assign]
            assert (await shop("POST", "/tasks", json=ADD, headers=key())).status_code == 503
            shop.api.site.submitter.submit = submit  # type: ignore[method-assign]
            again = await shop("POST", "/tasks", json=ADD, headers=key())
            assert (again.status_code, again.json()["task_id"]) == (202, ids[0])

    async def test_after_an_outage_another_request_may_have_the_key(self) -> None:
        async with Shop() as shop:
            submit = shop.api.site.submitter.submit

            async def away(_: Any) -> None:
                raise Unavailable("away")

            shop.api.site.submitter.submit = away  # type: ignore[method-assign, assignment]
            await shop("POST", "/tasks", json=ADD, headers=key())
            shop.api.site.submitter.submit = submit  # type: ignore[method-assign]
            other = await shop("POST", "/tasks", json={"task": "nothing"}, headers=key())
            assert other.status_code == 202

    async def test_a_day_later_the_key_is_free(self) -> None:
        async with Shop() as shop:
            await shop("POST", "/tasks", json=ADD, headers=key())
            shop.clock.now += 86_401
            assert (await shop("POST", "/tasks", json={"task": "nothing"}, headers=key())).status_code == 202

    async def test_many_are_queued_once_too(self) -> None:
        async with Shop() as shop:
            first = await shop("POST", "/tasks", json=[ADD, ADD, {**ADD, "task_id": "mine"}], headers=key())
            second = await shop("POST", "/tasks", json=[ADD, ADD, {**ADD, "task_id": "mine"}], headers=key())
            assert first.json() == second.json()
            assert first.json()["items"][2]["task_id"] == "mine"
            assert await count(shop) == 3

    async def test_what_is_wrong_with_one_of_many_is_named_by_its_index(self) -> None:
        async with Shop() as shop:
            answer = await shop("POST", "/tasks", json=[ADD, {"task": "ad"}], headers=key())
            assert (answer.status_code, answer.json()["index"]) == (422, 1)
            alone = await shop("POST", "/tasks", json={"task": "ad"}, headers=key())
            assert "index" not in alone.json()

    async def test_a_replay_may_wait_for_the_task(self) -> None:
        async with Shop() as shop:
            first = await shop("POST", "/tasks", json=ADD, headers=key())
            await shop.work()
            replay = await shop("POST", "/tasks", json=ADD, headers=key(Prefer="wait=5"))
            assert replay.status_code == 200
            assert replay.json()["task_id"] == first.json()["task_id"]
            assert replay.json()["result"] == 5

    async def test_an_id_taken_before_the_reservation_stays_taken(self) -> None:
        async with Shop() as shop:
            await shop.submit(task_id="mine")
            shop.clock.now += 60
            body = {**ADD, "task_id": "mine"}

            class Died(BaseException):
                pass

            await die(shop, body, Died)
            shop.clock.now += HELD + 1
            answer = await shop("POST", "/tasks", json=body, headers=key())
            assert answer.status_code == 409


async def settled() -> None:
    """Let everything that can go on go on."""
    for _ in range(50):
        await asyncio.sleep(0)


async def count_as(shop: Shop, secret: str) -> int:
    return len((await shop("GET", "/tasks", headers={"X-API-Key": secret})).json()["items"])


async def reserved(shop: Shop, *, publish: bool) -> str:
    """A server that dies after it reserved the key, before or after it published."""
    ids: list[str] = []
    submit = shop.api.site.submitter.submit

    async def dying(submissions: Any) -> None:
        ids.append(submissions[0].record.task_id)
        if publish:
            await submit(submissions)
        raise asyncio.CancelledError

    shop.api.site.submitter.submit = dying  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await shop("POST", "/tasks", json=ADD, headers=key())
    shop.api.site.submitter.submit = submit  # type: ignore[method-assign]
    return ids[0]


async def die(shop: Shop, body: dict[str, Any], how: type[BaseException]) -> None:
    """A server that dies right after it reserved the key."""
    once = Idempotency._carry_out

    async def dying(*_: Any) -> list[str]:
        raise how

    Idempotency._carry_out = dying  # type: ignore[method-assign, assignment]
    try:
        with pytest.raises(how):
            await shop("POST", "/tasks", json=body, headers=key())
    finally:
        Idempotency._carry_out = once  # type: ignore[method-assign]
