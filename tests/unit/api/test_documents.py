"""The route table, and what is made of it: OpenAPI, the documentation page, metrics; and health."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from typing import Any

import pytest

from penstock.api import pulse
from penstock.api.routes import ROUTES
from penstock.api.tally import NO_ROUTE, STATUSES, Tally
from penstock.core.arguments import Arguments
from penstock.core.errors import StorageError
from penstock.core.exposition import Family, exposition
from tests.unit.api.shop import Shop


class TestTable:
    @pytest.mark.parametrize(
        "lacking",
        [
            {"summary": ""},
            {"tag": ""},
            {"scope": "everything"},
            {"responses": {}},
            {"parameters": ()},
            {"method": "PUT"},
        ],
    )
    def test_a_route_that_lacks_something_cannot_be_made(self, lacking: dict[str, Any]) -> None:
        route = next(route for route in ROUTES if route.path == "/tasks/{task}")
        with pytest.raises(ValueError, match=re.escape("/tasks/{task}")):
            dataclasses.replace(route, **lacking)

    def test_no_route_stands_there_twice(self) -> None:
        names = [(route.method, route.path) for route in ROUTES]
        assert len(names) == len(set(names))

    def test_what_changes_something_needs_more_than_read(self) -> None:
        assert all(route.scope in {"submit", "operate"} for route in ROUTES if not route.safe)

    def test_only_health_and_the_way_to_the_documentation_need_no_key(self) -> None:
        assert {route.path for route in ROUTES if route.scope == "none"} == {"/", "/health/live", "/health/ready"}

    def test_every_status_of_the_table_is_counted(self) -> None:
        assert {status for route in ROUTES for status in (*route.responses, *route.refusals)} <= set(STATUSES)


def references(tree: Any) -> set[str]:
    if isinstance(tree, dict):
        own = {tree["$ref"]} if isinstance(tree.get("$ref"), str) else set()
        return own.union(*map(references, tree.values()))
    return set().union(*map(references, tree)) if isinstance(tree, list) else set()


class TestOpenAPI:
    async def test_every_route_is_described_and_every_reference_leads_somewhere(self) -> None:
        async with Shop() as shop:
            found = (await shop("GET", "/openapi.json")).json()
            assert found["openapi"] == "3.1.0"
            for route in ROUTES:
                operation = found["paths"][route.path][route.method.lower()]
                assert operation["x-scope"] == route.scope
                assert set(operation["responses"]) == {str(code) for code in (*route.responses, *route.refusals)}
            for reference in references(found):
                place: Any = found
                for part in reference.removeprefix("#/").split("/"):
                    place = place[part]

    async def test_operations_have_names_of_their_own(self) -> None:
        async with Shop() as shop:
            found = (await shop("GET", "/openapi.json")).json()
            names = [each["operationId"] for path in found["paths"].values() for each in path.values()]
            assert len(names) == len(set(names))

    async def test_each_task_has_its_operation_with_its_arguments(self) -> None:
        def ship(order: dict[str, int], fast: bool = False) -> None:
            """Send it."""

        async with Shop() as shop:
            await shop.hire({"shop/ship it": Arguments(ship, task="ship").schema(), "cancel": {}})
            found = (await shop("GET", "/openapi.json")).json()
            operation = found["paths"]["/tasks/shop%2Fship%20it"]["post"]
            reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            schema = found["components"]["schemas"][reference.rpartition("/")[2]]
            assert schema["required"] == ["order"]
            assert operation["description"].startswith("Send it.")
            assert not any(each["in"] == "path" for each in operation["parameters"])
            assert re.fullmatch(r"[A-Za-z0-9._-]+", reference.rpartition("/")[2])
            assert found["paths"]["/tasks/cancel"]["post"]["summary"] == "Cancel tasks by filter"

    async def test_keys_are_described_where_they_are_needed(self) -> None:
        async with Shop() as shop:
            assert "securitySchemes" not in (await shop("GET", "/openapi.json")).json()["components"]
        async with Shop(api_keys=("a-secret-of-enough-length",)) as shop:
            head = {"X-API-Key": "a-secret-of-enough-length"}
            found = (await shop("GET", "/openapi.json", headers=head)).json()
            assert found["paths"]["/tasks"]["get"]["security"] == [{"bearer": []}, {"header": []}]
            assert "security" not in found["paths"]["/health/live"]["get"]


class TestPage:
    async def test_it_needs_no_other_host_and_no_script(self) -> None:
        async with Shop() as shop:
            answer = await shop("GET", "/docs")
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert not re.search(r"https?://|<script|<link|<img|@import|url\(", answer.text)

    async def test_every_route_task_and_object_stands_there(self) -> None:
        async with Shop() as shop:
            text = (await shop("GET", "/docs")).text
            for route in ROUTES:
                assert f"id='{route.method.lower()}{route.path}'" in text
            assert "/tasks/add" in text
            assert "Add two numbers." in text
            links, targets = set(re.findall(r"href='#(\w+)'", text)), set(re.findall(r"id='?(\w+)'?>", text))
            assert links <= targets

    async def test_what_users_wrote_is_escaped(self) -> None:
        async with Shop() as shop:
            schema = {"description": "<script>alert(1)</script>", "properties": {"<b>": {"type": "string"}}}
            await shop.hire({"<i>": schema})
            text = (await shop("GET", "/docs")).text
            assert "<script" not in text
            assert "<b>" not in text
            assert "<i>" not in text

    async def test_the_root_leads_there(self) -> None:
        async with Shop() as shop:
            answer = await shop("GET", "/")
            assert (answer.status_code, answer.headers["location"]) == (307, "/docs"), "there is no dashboard here"


class TestMetrics:
    async def test_queues_workers_letters_and_requests_are_counted(self) -> None:
        async with Shop() as shop:
            await shop.hire()
            await shop.submit()
            await shop("GET", "/nowhere")
            answer = await shop("GET", "/metrics")
            assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
            for line in (
                "penstock_up 1",
                'penstock_queue_messages{queue="default",state="ready"} 1',
                'penstock_worker_processes{worker="w@test"} 2',
                "penstock_dead_letters 0",
                'penstock_api_requests_total{method="POST",path="/tasks",status="202"} 1',
                'penstock_api_requests_total{method="",path="",status="404"} 1',
            ):
                assert line in answer.text.splitlines()

    async def test_while_the_store_is_away_the_server_still_tells_of_itself(self) -> None:
        async with Shop() as shop:
            shop.cut_off()
            await shop("GET", "/tasks")
            text = (await shop("GET", "/metrics")).text
            assert "penstock_up 0" in text
            assert 'penstock_api_requests_total{method="GET",path="/tasks",status="503"} 1' in text

    def test_the_processes_of_a_server_are_added_up(self) -> None:
        tally = Tally(ROUTES[:2], processes=3)
        for process in range(3):
            tally.count(process, 1, 202, 0.5)
        tally.count(0, NO_ROUTE, 404, 0.1)
        tally.count(0, 0, 418, 0.1)
        requests, seconds = tally.families()
        assert [count for _, count in requests.samples] == [3.0, 1.0]
        assert seconds.samples[0] == ({"method": "POST", "path": "/tasks/{task}"}, 1.5)

    def test_labels_are_escaped(self) -> None:
        family = Family("m", "gauge", "a\nb")
        family.add(1.5, queue='a"b\\c\nd')
        assert exposition([family]) == b'# HELP m a\\nb\n# TYPE m gauge\nm{queue="a\\"b\\\\c\\nd"} 1.5\n'


class TestHealth:
    async def test_live_needs_nothing(self) -> None:
        async with Shop() as shop:
            shop.cut_off()
            assert (await shop("GET", "/health/live")).json() == {"status": "live"}

    async def test_ready_asks_both_and_keeps_the_answer_for_a_second(self) -> None:
        async with Shop() as shop:
            now = [0.0]
            shop.api.site.pulse.clock = lambda: now[0]
            assert (await shop("GET", "/health/ready")).json()["checks"] == {"broker": "ok", "results": "ok"}
            shop.cut_off()
            assert (await shop("GET", "/health/ready")).status_code == 200
            now[0] = 1.0
            answer = await shop("GET", "/health/ready")
            assert answer.status_code == 503
            assert {each["field"] for each in answer.json()["errors"]} == {"broker", "results"}
            assert answer.headers["retry-after"] == "1"

    async def test_no_answer_in_time_is_not_ready_and_is_not_asked_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pulse, "PATIENCE", 0.01)
        monkeypatch.setattr(pulse, "KEPT", 0.0)
        async with Shop() as shop:
            asked = 0

            async def never() -> None:
                nonlocal asked
                asked += 1
                await asyncio.Event().wait()

            monkeypatch.setattr(shop.backends.broker, "ping", never)
            for _ in range(3):
                answer = await shop("GET", "/health/ready")
                assert {"field": "broker", "message": "no answer within 0.01 s"} in answer.json()["errors"]
            assert asked == 1

    async def test_an_unusable_store_is_not_ready(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with Shop() as shop:

            async def full() -> None:
                raise StorageError("the disk is full")

            monkeypatch.setattr(shop.backends.results, "ping", full)
            answer = await shop("GET", "/health/ready")
            assert (answer.status_code, answer.json()["detail"]) == (503, "results: the disk is full")

    async def test_a_server_that_shuts_down_is_not_ready(self) -> None:
        async with Shop() as shop:
            shop.api.drain()
            assert (await shop("GET", "/health/ready")).status_code == 503

    async def test_health_needs_neither_a_key_nor_a_known_host(self) -> None:
        async with Shop(api_keys=("a-secret-of-enough-length",)) as shop:
            for path in ("/health/live", "/health/ready"):
                assert (await shop("GET", path, headers={"host": "10.0.0.7"})).status_code == 200
