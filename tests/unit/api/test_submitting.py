"""POST /tasks and POST /tasks/{task}: what is accepted, and what is refused before anything is queued."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.core.arguments import Arguments
from tests.unit.api.shop import Shop

JSON = {"content-type": "application/json"}


async def queued(shop: Shop) -> int:
    page = await shop("GET", "/tasks", params={"limit": 1000})
    return len(page.json()["items"])


async def test_a_task_is_accepted_with_its_id_and_where_to_find_it() -> None:
    async with Shop() as shop:
        answer = await shop("POST", "/tasks", json={"task": "add", "args": [2, 3]})
        task_id = answer.json()["task_id"]
        assert answer.status_code == 202
        assert answer.json() == {"task_id": task_id, "status": "PENDING"}
        assert answer.headers["location"] == f"/tasks/{task_id}"
        assert (await shop.show(task_id))["args"] == [2, 3]


async def test_the_worker_gets_what_was_sent() -> None:
    async with Shop() as shop:
        await shop.submit("add", 2, kwargs={"y": 5}, priority=6, queue="fast")
        (delivery,) = await shop.claim("fast")
        args, kwargs, _ = json.loads(delivery.message.body)
        assert (args, kwargs, delivery.message.priority) == ([2], {"y": 5}, 6)


async def test_arguments_by_name_and_options_in_the_query() -> None:
    async with Shop() as shop:
        answer = await shop("POST", "/tasks/add?countdown=5&priority=3&queue=q", json={"x": 2})
        record = await shop.show(answer.json()["task_id"])
        assert record["kwargs"] == {"x": 2}
        assert (record["queue"], record["priority"], record["eta"]) == ("q", 3, "2027-01-15T08:00:05Z")


async def test_every_option_of_a_body_can_stand_in_the_query() -> None:
    async with Shop() as shop:
        query = "ignore_result&retries=2&expires=2027-01-15T09:01:00+01:00&eta=2027-01-15T09:00:00+01:00"
        answer = await shop("POST", f"/tasks/add?{query}", json={"x": 2})
        record = await shop.show(answer.json()["task_id"])
        assert (record["eta"], record["expires"]) == ("2027-01-15T08:00:00Z", "2027-01-15T08:01:00Z")
        assert record["retries"] == 2
        refused = await shop("POST", "/tasks/add?expires=soon", json={"x": 2})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "expires"
        assert (await shop("POST", "/tasks/add?expires=nan", json={"x": 2})).status_code == 400


async def test_no_body_means_no_arguments() -> None:
    async with Shop() as shop:
        assert (await shop("POST", "/tasks/nothing")).status_code == 202
        missing = await shop("POST", "/tasks/add")
        assert missing.status_code == 422
        assert missing.json()["errors"] == [{"field": "x", "message": "missing"}]


async def test_an_eta_is_a_time_and_expires_counts_from_now() -> None:
    async with Shop() as shop:
        record = await shop.show(await shop.submit(eta="2027-01-15T09:00:00+01:00", expires=60))
        assert record["eta"] == "2027-01-15T08:00:00Z"
        assert record["expires"] == "2027-01-15T08:01:00Z"


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"args": ["a"]}, ["x"]),
        ({"args": []}, ["x"]),
        ({"args": [1, 2, 3]}, ["args[2]"]),
        ({"args": [1], "kwargs": {"z": 1}}, ["z"]),
        ({"kwargs": {"x": None}}, ["x"]),
        ({"kwargs": {"x": 1, "y": 2.5}}, ["y"]),
        ({"args": [1], "kwargs": {"x": 1}}, ["x"]),
        ({"args": 5}, ["args"]),
        ({"kwargs": []}, ["kwargs"]),
        ({"args": [1], "priority": 10, "countdown": "soon"}, ["priority", "countdown"]),
        ({"args": [1], "nonsense": 1}, ["nonsense"]),
        ({"args": [1], "link": {"task": "add"}}, ["link"]),
        ({"args": [1], "task_id": ""}, ["task_id"]),
        ({"args": [1], "eta": "soon"}, ["eta"]),
    ],
)
async def test_what_does_not_fit_is_422_naming_each_field(arguments: dict[str, Any], fields: list[str]) -> None:
    async with Shop() as shop:
        answer = await shop("POST", "/tasks", json={"task": "add", **arguments})
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert [each["field"] for each in answer.json()["errors"]] == fields
        assert await queued(shop) == 0


@pytest.mark.parametrize("content", [{}, {"task": ""}, {"task": 5}, {"args": [1]}])
async def test_a_task_needs_a_name(content: dict[str, Any]) -> None:
    async with Shop() as shop:
        answer = await shop("POST", "/tasks", json=content)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "task"


@pytest.mark.parametrize("content", [b"5", b'"add"', b"null", b"true"])
async def test_a_body_that_is_no_object_is_422(content: bytes) -> None:
    async with Shop() as shop:
        assert (await shop("POST", "/tasks", content=content, headers=JSON)).status_code == 422
        assert (await shop("POST", "/tasks/add", content=content, headers=JSON)).status_code == 422


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"task": "add", "args": [NaN]}',
        b'{"task": "add", "args": [Infinity]}',
        b'{"task": "add", "args": [1e999]}',
        b'{"task": "add", "args": ["\\ud800"]}',
        b'{"task": "add", "args": ["\xff"]}',
        b'{"task": "add", "args": [1]} x',
        b'{"task": "add", "args": [' + b"[" * 100 + b"]" * 100 + b"]}",
        b"[" * 100_000,
        b'{"task": "add", "args": [' + b"9" * 5000 + b"]}",
        b'{"task": "add", "args": [{"__type__": "datetime", "__value__": "soon"}]}',
    ],
)
async def test_what_is_not_json_is_400(content: bytes) -> None:
    async with Shop() as shop:
        answer = await shop("POST", "/tasks", content=content, headers=JSON)
        assert answer.status_code == 400, answer.text
        assert answer.json()["type"] == "urn:penstock:problem:malformed"
        assert await queued(shop) == 0


async def test_an_unknown_task_is_404_with_near_matches() -> None:
    async with Shop() as shop:
        for answer in (
            await shop("POST", "/tasks", json={"task": "ad"}),
            await shop("POST", "/tasks/ad"),
        ):
            assert answer.status_code == 404
            assert answer.json()["near"] == ["add"]


async def test_too_large_a_body_is_413_whether_announced_or_not() -> None:
    async with Shop(max_body=1000) as shop:
        body = json.dumps({"task": "add", "args": [1], "shadow": "x" * 2000}).encode()

        async def chunks() -> Any:
            for start in range(0, len(body), 100):
                yield body[start : start + 100]

        for content in (body, chunks()):
            answer = await shop("POST", "/tasks", content=content, headers=JSON)
            assert answer.status_code == 413
            assert answer.json()["limit"] == 1000


async def test_a_body_may_come_in_pieces() -> None:
    async with Shop() as shop:

        async def pieces() -> Any:
            yield b'{"task": "add",'
            yield b' "args": [1]}'

        assert (await shop("POST", "/tasks", content=pieces(), headers=JSON)).status_code == 202


async def test_a_message_that_grew_over_the_limit_is_413() -> None:
    async with Shop(max_body=100) as shop:
        answer = await shop("POST", "/tasks", content=b'{"task":"add","args":[' + b"1" * 60 + b"]}", headers=JSON)
        assert answer.status_code == 413


async def test_an_id_of_ones_own_is_kept_and_is_409_the_second_time() -> None:
    async with Shop() as shop:
        assert await shop.submit(task_id="order/17 ä") == "order/17 ä"
        again = await shop("POST", "/tasks", json={"task": "add", "args": [1], "task_id": "order/17 ä"})
        assert again.status_code == 409
        assert again.json()["type"] == "urn:penstock:problem:task-id-taken"
        assert await queued(shop) == 1


async def test_an_id_with_a_slash_is_found_at_its_location() -> None:
    async with Shop() as shop:
        answer = await shop("POST", "/tasks", json={"task": "add", "args": [1], "task_id": "a/b?c#d%2Fe"})
        assert answer.headers["location"] == "/tasks/a%2Fb%3Fc%23d%252Fe"
        found = await shop("GET", answer.headers["location"])
        assert found.json()["task_id"] == "a/b?c#d%2Fe"
        assert (await shop("DELETE", answer.headers["location"])).status_code == 200


class TestTasksOfWorkers:
    """The API serves an app that does not have every task itself."""

    def schema(self) -> dict[str, Any]:
        def resize(path: str, *sizes: int, quality: int = 80) -> None: ...

        return Arguments(resize, task="resize").schema()

    async def test_they_are_known_while_their_worker_lives(self) -> None:
        async with Shop() as shop:
            await shop.hire({"resize": self.schema()})
            assert await shop.submit("resize", "a.png", 100, 200, kwargs={"quality": 5})
            assert (await shop("POST", "/tasks/resize", json={"path": "a.png"})).status_code == 202

    @pytest.mark.parametrize(
        ("arguments", "field"),
        [
            ({"args": [5]}, "path"),
            ({"args": []}, "path"),
            ({"args": ["a", "b"]}, "sizes[0]"),
            ({"args": ["a"], "kwargs": {"quality": "high"}}, "quality"),
            ({"args": ["a"], "kwargs": {"path": "b"}}, "path"),
            ({"args": ["a"], "kwargs": {"nonsense": 1}}, "nonsense"),
        ],
    )
    async def test_their_arguments_are_checked_against_the_schema(self, arguments: dict[str, Any], field: str) -> None:
        async with Shop() as shop:
            await shop.hire({"resize": self.schema()})
            answer = await shop("POST", "/tasks", json={"task": "resize", **arguments})
            assert answer.status_code == 422
            assert [each["field"] for each in answer.json()["errors"]] == [field]

    async def test_surplus_positions_are_refused(self) -> None:
        def one(x: int) -> None: ...

        async with Shop() as shop:
            await shop.hire({"one": Arguments(one, task="one").schema()})
            answer = await shop("POST", "/tasks", json={"task": "one", "args": [1, 2]})
            assert [each["field"] for each in answer.json()["errors"]] == ["args[1]"]

    async def test_one_question_to_the_workers_serves_everybody_for_a_second(self) -> None:
        async with Shop() as shop:
            await shop.hire({"resize": self.schema()})
            known = shop.api.site.tasks
            now = [0.0]
            known.clock = lambda: now[0]
            first = await known.all()
            assert await known.all() is first
            now[0] = 1.5
            assert await known.all() is not first


class TestMany:
    async def test_an_array_is_answered_in_its_order(self) -> None:
        async with Shop() as shop:
            answer = await shop("POST", "/tasks", json=[{"task": "add", "args": [n]} for n in range(5)])
            assert answer.status_code == 202
            items = answer.json()["items"]
            assert [(await shop.show(item["task_id"]))["args"] for item in items] == [[n] for n in range(5)]
            assert {item["status"] for item in items} == {"PENDING"}

    async def test_ndjson_has_an_item_on_each_line(self) -> None:
        async with Shop() as shop:
            content = b'{"task": "add", "args": [1]}\n\n{"task": "nothing"}\n'
            answer = await shop("POST", "/tasks", content=content, headers={"content-type": "application/x-ndjson"})
            assert answer.status_code == 202
            assert len(answer.json()["items"]) == 2

    async def test_a_broken_line_is_named(self) -> None:
        async with Shop() as shop:
            content = b'{"task": "add", "args": [1]}\n{"task'
            answer = await shop("POST", "/tasks", content=content, headers={"content-type": "application/x-ndjson"})
            assert answer.status_code == 400
            assert answer.json()["index"] == 1

    async def test_nothing_is_an_answer_too(self) -> None:
        async with Shop() as shop:
            answer = await shop("POST", "/tasks", json=[])
            assert (answer.status_code, answer.json()) == (202, {"items": []})

    @pytest.mark.parametrize(
        ("item", "status"),
        [
            ({"task": "ad"}, 422),
            ({"task": "add", "args": ["a"]}, 422),
            ({"task": "add", "args": [1], "nonsense": 1}, 422),
            (5, 422),
            ({"task": "add", "args": [1], "task_id": "taken"}, 409),
            ({"task": "add", "args": [1], "task_id": "first"}, 409),
        ],
    )
    async def test_one_wrong_item_is_named_and_nothing_is_queued(self, item: Any, status: int) -> None:
        async with Shop() as shop:
            await shop.submit(task_id="taken")
            good = {"task": "add", "args": [1], "task_id": "first"}
            answer = await shop("POST", "/tasks", json=[good, {"task": "nothing", "args": []}, item])
            assert answer.status_code == status
            assert answer.json()["index"] == 2
            assert await queued(shop) == 1

    async def test_more_than_ten_thousand_are_refused(self) -> None:
        async with Shop() as shop:
            answer = await shop("POST", "/tasks", json=[{"task": "nothing"}] * 10_001)
            assert answer.status_code == 422

    async def test_ten_thousand_are_taken(self) -> None:
        async with Shop() as shop:
            answer = await shop("POST", "/tasks", json=[{"task": "nothing"}] * 10_000)
            assert answer.status_code == 202
            assert len({item["task_id"] for item in answer.json()["items"]}) == 10_000

    async def test_an_outage_midway_tells_which_were_accepted(self) -> None:
        async with Shop() as shop:
            submitter = shop.api.site.submitter
            submit = submitter.submit
            batches: list[Any] = []

            async def failing(submissions: Any) -> None:
                batches.append(submissions)
                if len(batches) == 2:
                    shop.cut_off()
                await submit(submissions)

            submitter.submit = failing  # type: ignore[method-assign]
            answer = await shop("POST", "/tasks", json=[{"task": "nothing"}] * 1500)
            assert answer.status_code == 503
            assert answer.json()["accepted"] == [each.record.task_id for each in batches[0]]
            assert answer.headers["retry-after"] == "3"


async def test_a_broker_that_is_away_is_503_with_a_hint() -> None:
    async with Shop() as shop:
        shop.cut_off()
        answer = await shop("POST", "/tasks", json={"task": "add", "args": [1]})
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "3"
        assert answer.json()["detail"] == "the store is away"
