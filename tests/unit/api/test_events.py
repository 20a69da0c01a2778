"""Server-sent events: from the feed to any number of listeners, with resumption, and none that holds memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from penstock.api import events, feed
from penstock.api.feed import Feed, frame
from penstock.core.errors import Unavailable
from penstock.core.record import Change, Excerpt
from penstock.core.results import Watch
from tests.unit.api.shop import LEASE, Shop


class Stream:
    """A client of an event stream, straight on ASGI: httpx's transport waits for the end of an answer."""

    def __init__(self, shop: Shop, path: str, **headers: str) -> None:
        path, _, query = path.partition("?")
        self.scope: dict[str, Any] = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"localhost"), *((name.encode(), text.encode()) for name, text in headers.items())],
        }  # fmt: skip
        self.shop = shop
        self.status = 0
        self.text = b""
        self.ended = False
        self.blocked = asyncio.Event()
        self.blocked.set()
        self._news = asyncio.Event()
        self._leave = asyncio.Event()

    async def run(self) -> None:
        await self.shop.api(self.scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        await self._leave.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.blocked.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.text += message.get("body", b"")
            self.ended = not message.get("more_body", False)
        self._news.set()

    def leave(self) -> None:
        self._leave.set()

    def events(self) -> list[dict[str, Any]]:
        """What has come: each event's id, name and data."""
        found = []
        for block in self.text.decode().split("\n\n"):
            fields = dict(
                line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":")
            )
            if fields:
                found.append({"id": int(fields["id"]), "event": fields["event"], **json.loads(fields["data"])})
        return found

    async def until(self, count: int) -> list[dict[str, Any]]:
        """Wait until so many events are here."""
        async with asyncio.timeout(5):
            while len(self.events()) < count:
                self._news.clear()
                await self._news.wait()
        return self.events()


@asynccontextmanager
async def stream(shop: Shop, path: str, **headers: str) -> AsyncIterator[Stream]:
    opened = Stream(shop, path, **headers)
    task = asyncio.create_task(opened.run())
    async with asyncio.timeout(5):
        while not opened.status:
            await opened._news.wait()
            opened._news.clear()
        while not opened.text and not task.done():
            await opened._news.wait()
            opened._news.clear()
    try:
        yield opened
    finally:
        opened.leave()
        await asyncio.wait_for(task, 5)


async def progress(shop: Shop, task_id: str) -> None:
    await shop.backends.results.records.progress({task_id: b'{"fraction":0.4}'}, LEASE)


class TestOneTask:
    async def test_it_is_told_how_the_task_stands_then_what_happens_until_it_ends(self) -> None:
        async with Shop() as shop:
            task_id = await shop.submit()
            async with stream(shop, f"/tasks/{task_id}/events") as opened:
                (delivery,) = await shop.claim()
                await shop.start(delivery)
                await progress(shop, task_id)
                await shop.finish(delivery)
                found = await opened.until(4)
                assert [(each["event"], each.get("status")) for each in found] == [
                    ("state", "PENDING"),
                    ("state", "STARTED"),
                    ("progress", None),
                    ("state", "SUCCESS"),
                ]
                assert found[2]["progress"] == {"fraction": 0.4}
                assert {each["task_id"] for each in found} == {task_id}
                ids = [each["id"] for each in found]
                assert ids == sorted(ids)
            assert opened.ended

    async def test_another_task_is_not_heard(self) -> None:
        async with Shop() as shop:
            task_id = await shop.submit()
            async with stream(shop, f"/tasks/{task_id}/events") as opened:
                other = await shop.submit(queue="other")
                (delivery,) = await shop.claim("other")
                await shop.finish(delivery)
                await shop.work()
                found = await opened.until(2)
                assert other not in {each["task_id"] for each in found}

    async def test_one_that_has_ended_is_told_once(self) -> None:
        async with Shop() as shop:
            task_id = await shop.submit()
            await shop.work()
            async with stream(shop, f"/tasks/{task_id}/events") as opened:
                (event,) = await opened.until(1)
            assert (event["status"], opened.ended) == ("SUCCESS", True)

    async def test_whoever_has_seen_the_end_is_told_to_stay_away(self) -> None:
        async with Shop() as shop:
            task_id = await shop.submit()
            await shop.work()
            async with stream(shop, f"/tasks/{task_id}/events") as opened:
                (event,) = await opened.until(1)
            answer = await shop("GET", f"/tasks/{task_id}/events", headers={"Last-Event-ID": str(event["id"])})
            assert (answer.status_code, answer.text) == (204, "")

    async def test_a_client_that_comes_back_gets_what_it_missed(self) -> None:
        async with Shop() as shop:
            task_id = await shop.submit()
            async with stream(shop, f"/tasks/{task_id}/events") as opened:
                (first,) = await opened.until(1)
            (delivery,) = await shop.claim()
            await shop.start(delivery)
            await shop.finish(delivery)
            async with stream(shop, f"/tasks/{task_id}/events", **{"last-event-id": str(first["id"])}) as again:
                found = await again.until(2)
            assert [each["status"] for each in found] == ["STARTED", "SUCCESS"]
            assert again.ended

    async def test_a_client_that_comes_back_too_early_waits(self) -> None:
        async with Shop() as shop:
            task_id = await shop.submit()
            async with stream(shop, f"/tasks/{task_id}/events") as opened:
                (first,) = await opened.until(1)
            async with stream(shop, f"/tasks/{task_id}/events", **{"last-event-id": str(first["id"])}) as again:
                assert again.events() == []
                await shop.work()
                (event,) = await again.until(1)
                assert event["status"] == "SUCCESS"

    @pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 30])
    async def test_an_id_that_no_event_has_is_400(self, last: str) -> None:
        async with Shop() as shop:
            task_id = await shop.submit()
            answer = await shop("GET", f"/tasks/{task_id}/events", headers={"Last-Event-ID": last})
            assert answer.status_code == 400

    async def test_an_unknown_task_is_404(self) -> None:
        async with Shop() as shop:
            assert (await shop("GET", "/tasks/x/events")).status_code == 404


class TestAllTasks:
    async def test_everything_is_heard_and_filters_narrow(self) -> None:
        narrow = "/events?status=SUCCESS&task=add"
        async with Shop() as shop, stream(shop, "/events") as all_of_it, stream(shop, narrow) as some:
            await shop.submit()
            await shop.submit("nothing", args=[])
            await shop.work()
            assert len(await all_of_it.until(4)) == 4
            (event,) = await some.until(1)
            assert (event["task"], event["status"]) == ("add", "SUCCESS")

    async def test_progress_is_a_status_to_filter_by(self) -> None:
        async with Shop() as shop:
            task_id = await shop.submit()
            (delivery,) = await shop.claim()
            async with stream(shop, "/events?status=PROGRESS") as opened:
                await shop.start(delivery)
                await progress(shop, task_id)
                (event,) = await opened.until(1)
                assert event["event"] == "progress"

    async def test_it_resumes_after_an_event_without_a_gap_or_a_repetition(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(feed, "CHUNK", 3)
        async with Shop() as shop:
            async with stream(shop, "/events") as opened:
                for _ in range(2):
                    await shop.submit()
                before = await opened.until(2)
            for _ in range(10):
                await shop.submit()
            async with stream(shop, "/events", **{"last-event-id": str(before[0]["id"])}) as again:
                await shop.submit()
                found = await again.until(12)
            ids = [each["id"] for each in found]
            assert len(ids) == len(set(ids)) == 12
            assert ids == sorted(ids)

    async def test_an_id_from_before_the_store_was_replaced_does_not_silence_it(self) -> None:
        async with Shop() as shop:
            await shop.submit()
            async with stream(shop, "/events", **{"last-event-id": "9000"}) as opened:
                task_id = await shop.submit()
                (event,) = await opened.until(1)
            assert event["task_id"] == task_id

    async def test_at_shutdown_streams_end(self) -> None:
        async with Shop() as shop, stream(shop, "/events") as opened:
            shop.api.drain()
            async with asyncio.timeout(5):
                while not opened.ended:
                    await opened._news.wait()
                    opened._news.clear()

    async def test_a_silent_stream_is_kept_alive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(events, "HEARTBEAT", 0.001)
        async with Shop() as shop, stream(shop, "/events") as opened:
            async with asyncio.timeout(5):
                while opened.text.count(events.ALIVE) < 3:
                    await opened._news.wait()
                    opened._news.clear()
            assert opened.events() == []

    async def test_one_that_does_not_read_is_cut_and_holds_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(feed, "ROOM", 5)
        async with Shop() as shop, stream(shop, "/events") as slow, stream(shop, "/events") as quick:
            slow.blocked.clear()
            for number in range(20):
                await shop.submit()
                await quick.until(number + 1)
            assert len(quick.events()) == 20
            (left,) = shop.api.site.feed._to_all
            assert not left.closed
            slow.blocked.set()

    async def test_nobody_is_left_behind_when_clients_leave(self) -> None:
        async with Shop() as shop:
            task_id = await shop.submit()
            async with stream(shop, "/events"), stream(shop, f"/tasks/{task_id}/events"):
                assert len(shop.api.site.feed._listeners()) == 2
            assert not shop.api.site.feed._listeners()
            assert not shop.api.site.feed._by_task

    async def test_an_outage_is_503_before_a_stream_begins(self) -> None:
        async with Shop() as shop:
            shop.cut_off()
            assert (await shop("GET", "/events")).status_code == 503


class FakeRecords:
    """A feed of changes that fails and wakes on command."""

    def __init__(self) -> None:
        self.lines: list[Change] = []
        self.away = False
        self.reads = 0
        self.built = 0  #: lines handed to the reader
        self.woken = asyncio.Event()
        self.gate = asyncio.Event()  #: answers wait for it, though what they say is settled before
        self.gate.set()

    async def changes(self, after: int | None, limit: int = 1000) -> list[Change]:
        self.reads += 1
        if self.away:
            raise Unavailable("away")
        return self.lines[-1:] if after is None else [line for line in self.lines if line.seq > after][:limit]

    async def excerpt(self, task_ids: Collection[str], after: int, limit: int = 1000) -> Excerpt:
        lines = await self.changes(after, limit)
        mine = [line for line in lines if line.task_id in task_ids]
        await self.gate.wait()
        self.built += len(mine)
        return Excerpt(mine, lines[-1].seq if lines else after, len(lines))

    def watch(self, task_ids: Sequence[str] | None = None) -> Watch:
        assert task_ids is None
        return FakeWatch(self.woken)

    def say(self, task_id: str) -> None:
        seq = len(self.lines) + 1
        self.lines.append(Change(seq=seq, at=0.0, task_id=task_id, task="t", queue="q", state="PENDING"))
        self.woken.set()


class FakeWatch(Watch):
    def __init__(self, woken: asyncio.Event) -> None:
        self.woken = woken

    async def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002  (the contract)
        await self.woken.wait()
        self.woken.clear()
        return True

    async def close(self) -> None: ...


class TestFeed:
    async def test_a_change_is_read_once_for_all_listeners(self) -> None:
        records = FakeRecords()
        reader = Feed(records)  # type: ignore[arg-type]
        async with reader.listen(["a"]) as one, reader.listen(["a"]) as two, reader.listen() as three:
            records.say("a")
            lines = [(await each.take(5))[0] for each in (one, two, three)]
            assert lines[0] is lines[1] is lines[2]
            assert lines[0].frame is lines[1].frame
        await reader.stop()

    async def test_of_tasks_that_nobody_listens_to_nothing_is_read(self) -> None:
        records = FakeRecords()
        reader = Feed(records)  # type: ignore[arg-type]
        async with reader.listen(["a"]) as listener:
            for _ in range(100):
                records.say("other")
            records.say("a")
            (line,) = await listener.take(5)
        assert (line.change.task_id, records.built) == ("a", 1)
        await reader.stop()

    @pytest.mark.parametrize("task_ids", [["b"], []])
    async def test_whoever_comes_during_a_read_hears_what_it_brings(self, task_ids: list[str]) -> None:
        records = FakeRecords()
        reader = Feed(records)  # type: ignore[arg-type]
        async with reader.listen(["a"]) as first:
            records.gate.clear()
            records.say("a")
            before = records.reads
            records.say("b")  # in the snapshot of the read that begins now, for a listener who comes before its answer
            while records.reads == before:  # noqa: ASYNC110  (nothing tells of a read)
                await asyncio.sleep(0)
            async with reader.listen(task_ids) as late:
                records.gate.set()
                assert "b" in [line.change.task_id for line in await late.take(5)]
                assert [line.change.task_id for line in await first.take(5)] == ["a"]
                records.say("b")
                assert [line.change.seq for line in await late.take(5)] == [3]
        await reader.stop()

    async def test_the_reading_ends_some_time_after_the_last_listener_has_left(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(feed, "IDLE", 0.0)
        records = FakeRecords()
        reader = Feed(records)  # type: ignore[arg-type]
        async with reader.listen(["a"]):
            pass
        assert reader._reader is not None
        async with asyncio.timeout(5):
            while not reader._reader.done():
                records.say("a")  # that there is something to read does not keep it going
                await asyncio.sleep(0)
        async with reader.listen(["a"]) as listener:
            records.say("a")
            assert [line.change.seq for line in await listener.take(5)] == [len(records.lines)]
        await reader.stop()

    async def test_an_outage_is_waited_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(feed, "PAUSE", 0.0)
        records = FakeRecords()
        reader = Feed(records)  # type: ignore[arg-type]
        async with reader.listen() as listener:
            records.away = True
            records.say("a")
            before = records.reads
            while records.reads < before + 3:  # noqa: ASYNC110  (nothing tells of a failed read)
                await asyncio.sleep(0)
            records.away = False
            (line,) = await listener.take(5)
            assert line.change.task_id == "a"
        await reader.stop()

    def test_data_of_several_lines_stays_one_event(self) -> None:
        data = {"progress": msgspec.Raw(b"[1,\n2]")}
        assert frame("progress", data, 5) == b'id: 5\nevent: progress\ndata: {"progress":[1,\ndata: 2]}\n\n'
