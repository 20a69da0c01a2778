"""What pages show and what their forms do, without a browser."""

from __future__ import annotations

import html
import json
import re

import pytest

from penstock.api import tasks
from penstock.client import operations
from penstock.core import search
from penstock.core.errors import Unavailable
from penstock.core.message import Message
from penstock.core.record import DeadLetter
from penstock.core.schedule import Schedule
from tests.unit.api.shop import NOW, WORKER
from tests.unit.dashboard.front import Front, fields

BAD = '<script>alert(1)</script><img src=x onerror=alert(2)>" onfocus=alert(3) x="\x1b[31mred\x1b[0m\x07 {{ 7*719171 }}'


def inert(page: str) -> bool:
    """Whether nothing of BAD has become markup."""
    return not re.search(r"<script>alert|<img src=x|[^;\w]onfocus=alert\(3\) x=\"", page) and "\x1b" not in page


class TestForeignText:
    async def test_it_stays_text_wherever_it_comes_from(self) -> None:
        async with Front() as front:
            await front.hire(
                {BAD.replace("\x1b", "").replace("\x07", ""): {"description": BAD}}, queues=["default", "q<b>"]
            )
            task_id = await front.submit("add", 1, 2)
            await front.submit("nothing", task_id="<b>id</b>", queue="<i>queue", args=[])
            (first, *_) = await front.claim()
            await front.finish(first, error=ValueError(BAD))
            letter = DeadLetter(
                id="d<b>", queue="<q>", reason="<r>", detail=BAD, died_at=NOW,
                message=Message(BAD.encode(), {"h": BAD}, {"p": BAD}, "<q>"), task="<task>",
            )  # fmt: skip
            await front.backends.results.dead.add([letter])
            plan = Schedule(name="<s>", task=BAD.replace("\x1b", "").replace("\x07", ""), every=60, args=(BAD,))
            await front.backends.results.schedules.sync("shop", [plan])
            for path in ("", "/tasks", f"/tasks/{task_id}", "/tasks/%3Cb%3Eid%3C%2Fb%3E", "/queues", "/workers",
                         "/schedules", "/dead", "/dead/d%3Cb%3E", "/submit", f"/tasks?q={BAD[:30]}",
                         "/bulk/retry?q=<script>", "/bulk/cancel?queue=<i>queue"):  # fmt: skip
                page = await front.page(path)
                assert inert(page), path
                assert "<b>" not in page
                assert "<i>" not in page
                assert "<q>" not in page
                assert "5034197" not in page, "no template of ours runs it"

    async def test_a_long_value_is_shortened_with_a_way_to_all_of_it(self) -> None:
        async with Front() as front:
            await front.submit("nothing", task_id="t", args=[])
            (claimed,) = await front.claim()
            await front.finish(claimed, json.dumps("<x>" + "y" * 1_000_000).encode())
            for path in ("/tasks", "/tasks/t", ""):
                assert len(await front.page(path)) < 30_000
            assert "/ui/tasks/t/result" in await front.page("/tasks/t")
            whole = await front.client.get("/ui/tasks/t/result")
            assert len(whole.text) > 1_000_000
            assert whole.headers["content-type"].startswith("text/plain")
            assert "sandbox" in whole.headers["content-security-policy"]
            assert whole.headers["x-content-type-options"] == "nosniff"


def refresh(page: str) -> str:
    """Where a page leads by itself, as it stands in it."""
    (following,) = re.findall('<meta http-equiv="refresh" content="0; url=/ui([^"]*)">', page)
    return str(following)


class TestTasks:
    async def test_the_filter_is_the_address(self) -> None:
        async with Front() as front:
            first = await front.submit("add", 1, 2)
            second = await front.submit("nothing", args=[], queue="other")
            assert first in (page := await front.page("/tasks"))
            assert second in page
            assert second not in await front.page("/tasks?task=add")
            assert first not in (page := await front.page("/tasks?queue=other&q=&status=PENDING"))
            assert second in page
            assert "No task matches" in await front.page("/tasks?status=SUCCESS")
            assert "must be a time" in await front.page("/tasks?since=yesterday", 400)

    async def test_older_tasks_are_a_page_away(self) -> None:
        async with Front() as front:
            ids = [await front.submit() for _ in range(60)]
            page = await front.page("/tasks?status=PENDING")
            more = re.search(r'rel="next" href="/ui(/tasks[^"]*)"', page)
            assert more
            older = await front.page(html.unescape(more[1]))
            assert [each in page for each in ids] == [each not in older for each in ids]

    async def test_a_task_is_run_again_and_cancelled(self) -> None:
        async with Front() as front:
            task_id = await front.submit()
            await front.work(error=ValueError("no"))
            assert "ValueError: no" in (page := await front.page(f"/tasks/{task_id}"))
            assert "Run again" in page
            page = await front.follow(await front.send(f"/tasks/{task_id}/retry"))
            assert "It is queued again." in page
            assert (await front.show(task_id))["status"] == "PENDING"
            await front.send(f"/tasks/{task_id}/cancel")
            assert (await front.show(task_id))["status"] == "REVOKED"
            page = await front.follow(await front.send(f"/tasks/{task_id}/cancel"))
            assert "The present state does not allow this" in page
            assert "The present state" not in await front.page(f"/tasks/{task_id}"), "said once"

    async def test_what_is_not_there_is_told(self) -> None:
        async with Front() as front:
            assert "there is no task" in await front.page("/tasks/nope", 404)
            assert "there is no page" in await front.page("/nope", 404)
            await front.page("/tasks/nope/result", 404)
            await front.page("/bulk/eat", 404)

    async def test_an_outage_is_told(self) -> None:
        async with Front() as front:
            front.cut_off()
            assert "the store is away" in await front.page("/tasks", 503)

    async def test_a_search_says_how_far_it_has_looked_and_goes_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(search, "AT_ONCE", 3)
        async with Front() as front:
            for n in range(5):
                await front.submit(task_id=f"{'needle' if n in {0, 3} else 'hay'}-{n}")
            page = await front.page("/tasks?q=needle")
            assert "needle-3" in page
            assert "needle-0" not in page
            assert "Searched back to" in page
            assert "http-equiv" not in page, "what is found stands still"
            (further,) = re.findall('rel="next" href="/ui([^"]*)">Search further<', page)
            page = await front.page(html.unescape(further))
            assert "needle-0" in page
            assert "needle-3" not in page
            assert "Searched back to" not in page
            assert "Search further" not in page

    async def test_where_nothing_is_found_it_goes_on_by_itself_and_can_be_stopped(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search, "FAR", 2)
        async with Front() as front:
            for n in range(5):
                await front.submit(task_id=f"t{n}", queue="default" if n else "rare")
            page = await front.page("/tasks?queue=rare")
            (stop,) = re.findall('href="/ui([^"]*)">Stop<', page)
            still = await front.page(html.unescape(stop))
            assert "http-equiv" not in still
            assert "Search further" in still
            page = await front.page(html.unescape(refresh(page)))
            assert "older ones are looked at now" in page
            page = await front.page(html.unescape(refresh(page)))
            assert "t0" in page
            assert "http-equiv" not in page
            front.clock.now += 1
            assert "No task matches" in await front.page("/tasks?queue=rare&status=FAILURE")


class TestBulk:
    async def test_exactly_those_that_the_preview_counted_change(self) -> None:
        async with Front() as front:
            failed = [await front.submit("add", n, 1) for n in range(7)]
            await front.work(error=ValueError("no"))
            fine = await front.submit("add", 1, 1)
            await front.work()
            front.clock.now += 1
            page = await front.page("/bulk/retry?task=add")
            assert "Run again: 7 tasks" in page
            sent = fields(page, "/bulk/retry")
            assert sent["expect"] == ["7"]
            front.clock.now += 1
            later = await front.submit("add", 8, 8)
            await front.work(error=ValueError("later"))
            page = await front.follow(await front.send("/bulk/retry", **sent))
            assert "7 of 7 tasks queued again." in page
            assert {(await front.show(each))["status"] for each in failed} == {"PENDING"}
            assert (await front.show(fine))["status"] == "SUCCESS"
            assert (await front.show(later))["status"] == "FAILURE"

    @pytest.mark.parametrize("which", ["task=add", "q=bank"])
    async def test_many_are_counted_from_page_to_page_and_only_then_dealt_with(
        self, monkeypatch: pytest.MonkeyPatch, which: str
    ) -> None:
        monkeypatch.setattr(tasks, "MOST", 4)
        monkeypatch.setattr(operations, "MOMENT", 0.0)
        monkeypatch.setattr(search, "FAR", 3)
        monkeypatch.setattr(search, "AT_ONCE", 3)
        async with Front() as front:
            for n in range(7):
                await front.submit("add", n, 1)
            await front.work(error=ValueError("the bank is away"))
            front.clock.now += 1
            page, counted = await front.page(f"/bulk/retry?{which}"), 3
            for _ in range(2):
                assert "Run again: counting…" in page
                assert f"{counted} so far, counted back to" in page
                assert "expect" not in page
                following = refresh(page)
                assert following in re.findall('<a href="/ui([^"]*)">go on counting<', page)
                front.clock.now += 1
                await front.submit("add", 8, 8)
                await front.work(error=ValueError("the bank is away"))
                page, counted = await front.page(html.unescape(following)), counted + 3
            assert "Run again: 7 tasks" in page
            assert "http-equiv" not in page
            page = await front.follow(await front.send("/bulk/retry", **fields(page, "/bulk/retry")))
            said = "4 of 7 tasks queued again. Go on with the rest:"
            while "http-equiv" in page:
                assert said in page
                page = await front.page(html.unescape(refresh(page)))
            assert said in page, "until a page stands still"
            assert "Run again: 3 tasks" in page
            assert said not in await front.page("/tasks")

    async def test_if_others_match_meanwhile_nothing_is_done_and_it_is_asked_again(self) -> None:
        async with Front() as front:
            one, two = await front.submit(), await front.submit()
            front.clock.now += 1
            sent = fields(await front.page("/bulk/cancel?queue=default"), "/bulk/cancel")
            await front("DELETE", f"/tasks/{one}")
            answer = await front.send("/bulk/cancel", 409, **sent)
            assert "1 match now, not 2" in answer.text
            assert (await front.show(two))["status"] == "PENDING"
            await front.send("/bulk/cancel", **fields(answer.text, "/bulk/cancel"))
            assert (await front.show(two))["status"] == "REVOKED"

    async def test_what_came_to_match_after_the_count_is_left_alone_even_if_the_number_is_the_same(self) -> None:
        async with Front() as front:
            counted = await front.submit("add", 1, 1)
            await front.work(error=ValueError("no"))
            other = await front.submit("add", 2, 2)
            front.clock.now += 1
            sent = fields(await front.page("/bulk/retry?task=add"), "/bulk/retry")
            assert sent["expect"] == ["1"]
            front.clock.now += 1
            await front.work(error=ValueError("later"))
            await front("POST", f"/tasks/{counted}/retry")
            answer = await front.send("/bulk/retry", **sent)
            assert "0 of 1 tasks queued again" in await front.follow(answer)
            assert (await front.show(other))["status"] == "FAILURE"

    async def test_cancelling_leaves_running_ones_alone_and_stopping_the_waiting_ones(self) -> None:
        async with Front() as front:
            running = await front.submit()
            (claimed,) = await front.claim()
            await front.start(claimed)
            waiting = await front.submit()
            front.clock.now += 1
            assert "Stop: 1 task" in await front.page("/bulk/terminate")
            await front.send("/bulk/cancel", **fields(await front.page("/bulk/cancel"), "/bulk/cancel"))
            assert (await front.show(waiting))["status"] == "REVOKED"
            found = await front.show(running)
            assert (found["status"], found["cancelling"]) == ("STARTED", False)

    async def test_states_that_it_is_not_for_match_nothing(self) -> None:
        async with Front() as front:
            await front.submit()
            page = await front.page("/bulk/retry?status=PENDING")
            assert "Run again: 0 tasks" in page
            assert "expect" not in page


class TestQueues:
    async def test_they_are_paused_resumed_and_emptied(self) -> None:
        async with Front() as front:
            await front.submit()
            assert "Queue default is paused" in await front.follow(await front.send("/queues/default/pause"))
            assert "Queue default is paused, 1 waiting." in await front.page("")
            assert "is delivered again" in await front.follow(await front.send("/queues/default/resume"))
            assert "1 waiting messages removed" in await front.follow(await front.send("/queues/default/purge"))

    async def test_a_slash_in_a_name_is_part_of_it(self) -> None:
        async with Front() as front:
            await front.submit(queue="a/b")
            assert "/ui/queues/a%2Fb/pause" in await front.page("/queues")
            await front.send("/queues/a%2Fb/pause")
            (queue,) = (await front("GET", "/queues")).json()["items"]
            assert (queue["name"], queue["paused"]) == ("a/b", True)


class TestOverview:
    async def test_what_is_wrong_is_told(self) -> None:
        async with Front() as front:
            assert "Nothing." in await front.page("")
            await front.submit()
            assert "No worker is there, and tasks wait." in await front.page("")
            await front.hire(queues=["other"])
            assert "No worker takes from queue default, 1 waiting." in await front.page("")
            front.clock.now += 400
            await front.hire()
            assert "Queue default stands still: the oldest of 1 waiting is 6 min 40 s old." in await front.page("")

    async def test_a_schedule_that_fails_or_is_overdue_is_told(self) -> None:
        async with Front() as front:
            plans = [Schedule(name="nightly", task="nothing", every=60)]
            await front.backends.results.schedules.sync("shop", plans)
            (entry,) = await front.backends.results.schedules.all()
            task_id = await front.submit("nothing", args=[])
            await front.backends.results.schedules.advance("nightly", entry.next_due, front.clock() + 60, task_id)
            await front.work(error=ValueError("no"))
            assert "Schedule nightly failed: ValueError: no" in await front.page("")
            front.clock.now += 3600
            assert "Schedule nightly is overdue by 59 min" in await front.page("")


class TestLastRuns:
    async def test_one_whose_record_is_gone_is_passed_over(self) -> None:
        async with Front() as front:
            await fired(front, "gone")
            assert "nightly" in await front.page("/schedules")

    async def test_one_that_cannot_be_read_is_not_told_to_be_gone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def get(_: object) -> None:
            raise Unavailable("the disk is full")

        async with Front() as front:
            await fired(front, "there")
            monkeypatch.setattr(front.backends.results.records, "get", get)
            assert "the disk is full" in await front.page("/schedules", 503)


async def fired(front: Front, task_id: str) -> None:
    """A schedule that has queued this task last."""
    schedules = front.backends.results.schedules
    await schedules.sync("shop", [Schedule(name="nightly", task="nothing", every=60)])
    (entry,) = await schedules.all()
    await schedules.advance("nightly", entry.next_due, front.clock() + 60, task_id)


class TestSchedules:
    async def test_one_is_run_paused_and_resumed(self) -> None:
        async with Front() as front:
            await front.backends.results.schedules.sync("shop", [Schedule(name="s", task="nothing", cron="0 6 * * *")])
            page = await front.page("/schedules")
            assert "0 6 * * *" in page
            await front.send("/schedules/s/pause")
            assert "paused" in await front.page("/schedules")
            await front.send("/schedules/s/resume")
            assert "Queued as " in await front.follow(await front.send("/schedules/s/run"))


class TestDeadLetters:
    async def test_they_are_discarded_and_replayed_by_filter_as_counted(self) -> None:
        async with Front() as front:
            message = Message(b"hello", {}, {"content_type": "text/plain"}, "q")
            letters = [
                DeadLetter(id=f"d{n}", queue="q", reason="rejected" if n else "other", detail="", died_at=NOW,
                           message=message) for n in range(4)
            ]  # fmt: skip
            await front.backends.results.dead.add(letters)
            assert "4 dead letters" in await front.page("")
            front.clock.now += 1
            page = await front.page("/dead?reason=rejected&action=discard")
            assert "<strong>3 letters</strong> match" in page
            await front.backends.results.dead.discard(["d1"])
            page = await front.follow(await front.send("/dead/-/discard", **fields(page, "/dead/-/discard")))
            assert "2 match now, not 3; nothing was done" in page
            page = await front.follow(await front.send("/dead/-/discard", **fields(page, "/dead/-/discard")))
            assert "2 of 2 letters thrown away." in page
            await front.send("/dead/d0/replay")
            assert len(await front.claim("q")) == 1
            assert "There are none." in await front.page("/dead")


class TestWorkers:
    async def test_one_that_does_not_answer_is_told(self) -> None:
        async with Front() as front:
            assert "there is no live worker" in await front.follow(await front.send(f"/workers/{WORKER}/ping"))
            await front.hire()
            assert WORKER in await front.page("/workers")


class TestSubmit:
    async def test_the_form_is_made_from_the_hints_and_faults_stand_at_their_field(self) -> None:
        async with Front() as front:
            page = await front.page("/submit/add")
            assert "Add two numbers." in page
            assert 'name="arg.x"' in page
            assert "(required)" in page
            answer = await front.send("/submit/add", 422, **{"arg.x": "two", "arg.y": "", "opt.priority": ""})
            assert "expected int" in answer.text
            assert re.search(r'id="arg.x"[^>]*aria-invalid="true"[^>]*value="two"', answer.text)
            answer = await front.send("/submit/add", 422, **{"arg.x": "2", "opt.priority": "77"})
            assert "must be a whole number from 0 to 9" in answer.text
            answer = await front.send("/submit/add", **{"arg.x": "2", "arg.y": "40", "opt.queue": "special"})
            found = await front.show(answer.headers["location"].removeprefix("/ui/tasks/"))
            assert (found["args"], found["kwargs"], found["queue"]) == ([], {"x": 2, "y": 40}, "special")

    async def test_a_task_is_edited_and_run_again(self) -> None:
        async with Front() as front:
            task_id = await front.submit("add", 5, 6)
            page = await front.page(f"/submit/add?from={task_id}")
            assert re.search(r'name="arg.x"[^>]*value="5"', page)
            assert re.search(r'name="arg.y"[^>]*value="6"', page)

    async def test_a_task_without_a_form_takes_json(self) -> None:
        async with Front() as front:
            await front.hire({"cancel": {"properties": {}, "additionalProperties": True}})
            page = await front.page("/submit/cancel")
            assert 'name="raw"' in page
            answer = await front.send("/submit/cancel", 422, **{"raw": "1", "arg.args": "[1"})
            assert "expected array" in answer.text
            await front.send("/submit/cancel", **{"raw": "1", "arg.kwargs": '{"a": 1}'})

    async def test_a_task_that_nobody_knows_is_told(self) -> None:
        async with Front() as front:
            answer = await front.send("/submit/nobody", 422, raw="1")
            assert "There is no task of this name" in answer.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\x1b[1;31mred\x1b[0m", "red"), ("\x1b]0;title\x07x", "x"), ("a\x00b", "a\u2400b"), ("a\r\nb", "a\nb"),
     ("\u202eabc", "\\u202eabc"), ("\x9b31m", "\\u009b31m")],
)  # fmt: skip
def test_control_characters_are_shown_or_dropped(text: str, shown: str) -> None:
    from penstock.dashboard.view import clean  # noqa: PLC0415

    assert clean(text) == shown
