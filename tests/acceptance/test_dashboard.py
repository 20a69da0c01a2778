"""The dashboard in a real browser, on a running `penstock dev`: pages, actions, live updates, and what axe-core says.

The server, its worker and its browser are shared by the tests of this file; each test has tasks and queues of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from penstock.core import search
from tests.processes import eventually, free_port, launched

APP = '''
import time
from typing import Literal
from penstock import Penstock

app = Penstock("shop")
BAD = "<script>document.title='owned'</script><img src=x onerror=\\"document.title='owned'\\"> \\x1b[31mred\\x1b[0m"


@app.task
def add(x: int, y: int = 1, how: Literal["fast", "slow"] = "fast") -> int:
    """The sum of two numbers."""
    return x + y


@app.task
def complain(text: str) -> None:
    raise ValueError(text + BAD)


@app.task(name="na<b>me")
def named(text: str = BAD) -> str:
    return text


@app.task
def much() -> str:
    print("z" * 1_000_000)
    return "<b>" + "y" * 1_000_000


@app.task(bind=True)
def climb(self) -> str:
    step = 0
    while True:
        step = step % 90 + 1
        self.progress(step / 100, f"step {step} of 100")
        time.sleep(0.2)


@app.task
def noisy() -> None:
    step = 0
    while True:
        step += 1
        print(f"line {step} of many: <b>bold</b>" + BAD)
        time.sleep(0.2)


@app.task
def crash() -> None:
    import os
    os._exit(1)


@app.periodic("0 6 1 1 *", name="new-year")
def greet() -> str:
    return "hello"
'''

PAGES = ("", "/tasks", "/queues", "/workers", "/schedules", "/dead", "/submit", "/submit/add", "/bulk/retry")
#: What sticks out, if anything makes the page wider than its window.
TOO_WIDE = """
document.documentElement.scrollWidth <= innerWidth ? [] :
  [...document.querySelectorAll("main *")].filter(each => each.getBoundingClientRect().right > innerWidth)
    .map(each => each.outerHTML.slice(0, 200))
"""
WITHIN = 60_000  # milliseconds


@dataclass
class Site:
    """A running `penstock dev` and a browser; faults are what any page said on its console."""

    url: str
    browser: Browser
    folder: Path
    env: Mapping[str, str] | None = None
    faults: list[str] = field(default_factory=list)

    def context(self, **options: Any) -> BrowserContext:
        context = self.browser.new_context(**options)
        context.set_default_timeout(WITHIN)
        context.on("weberror", lambda error: self.faults.append(str(error.error)))
        context.on("console", lambda line: self.faults.append(line.text) if line.type == "error" else None)
        return context

    def close_pages(self) -> None:
        for context in self.browser.contexts:
            context.close()

    def page(self, path: str, **options: Any) -> Page:
        page = self.context(**options).new_page()
        page.goto(f"{self.url}/ui{path}")
        return page

    def ask(self, method: str, path: str, content: Any = None) -> Any:
        answer = httpx.request(method, self.url + path, json=content, timeout=60)
        return answer.raise_for_status().json()

    def submit(self, task: str, *args: Any, **options: Any) -> str:
        return str(self.ask("POST", "/tasks", {"task": task, "args": list(args), **options})["task_id"])

    def ends(self, task_id: str, *states: str) -> dict[str, Any]:
        """Wait until a task is in one of these states."""

        def found() -> dict[str, Any] | None:
            task: dict[str, Any] = self.ask("GET", f"/tasks/{task_id}")
            return task if task["status"] in (states or ("SUCCESS", "FAILURE", "REVOKED")) else None

        return eventually(found) or {}


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "the browser tests need Chromium: apt-get install chromium"
    return found


FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


@contextmanager
def running(folder: Path, env: Mapping[str, str] | None = None) -> Iterator[Site]:
    (folder / "app.py").write_text(APP)
    port = free_port()
    with launched("dev", "--port", str(port), cwd=folder, env=env) as dev, sync_playwright() as playwright:
        dev.prints("Ctrl-C ends it all")
        assert f"Dashboard http://127.0.0.1:{port}/ui" in dev.printed()
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        expect.set_options(timeout=WITHIN)
        yield Site(f"http://127.0.0.1:{port}", browser, folder, env)
        browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("dashboard")) as site:
        yield site


@pytest.fixture(autouse=True)
def quiet(site: Site) -> Iterator[None]:
    """No page may have complained; none goes on into the next test."""
    site.faults.clear()
    yield
    site.close_pages()
    assert [each for each in site.faults if "status of 4" not in each] == []


@pytest.fixture(scope="module")
def furnished(site: Site) -> dict[str, str]:
    """One task of each sort, by sort."""
    found = {
        "fine": site.submit("add", 2, 3),
        "failed": site.submit("complain", "no: "),
        "named": site.submit("na<b>me"),
        "much": site.submit("much"),
        "running": site.submit("climb"),
        "noisy": site.submit("noisy"),
        "waiting": site.submit("add", 1, queue="nobody-takes"),
    }
    for sort in ("fine", "failed", "named", "much"):
        site.ends(found[sort])
    for sort in ("running", "noisy"):
        site.ends(found[sort], "STARTED")
    eventually(lambda: site.ask("GET", f"/tasks/{found['noisy']}/logs")["items"], what="log lines")
    return found


def pages_of(furnished: dict[str, str]) -> list[str]:
    return [*PAGES, *(f"/tasks/{task_id}" for task_id in furnished.values()), "/nowhere", "/login"]


def assert_accessible(page: Page) -> None:
    """axe-core finds nothing; it needs JavaScript."""
    found = Axe().run(page)
    assert found.violations_count == 0, f"{page.url}\n{found.generate_report()}"


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_axe_finds_nothing_and_no_page_is_wider_than_the_screen(
    site: Site, furnished: dict[str, str], look: str
) -> None:
    size = {"width": 360, "height": 740} if look == "phone" else {"width": 1280, "height": 800}
    page = site.context(color_scheme="dark" if look == "dark" else "light", viewport=size).new_page()
    for path in pages_of(furnished):
        page.goto(f"{site.url}/ui{path}")
        assert_accessible(page)
        assert page.evaluate(TOO_WIDE) == [], path


@pytest.mark.usefixtures("furnished")
def test_the_first_page_is_light(site: Site) -> None:
    page = site.context().new_page()
    sizes: list[int] = []
    page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    for path in ("", "/tasks"):
        sizes.clear()
        page.goto(f"{site.url}/ui{path}")
        page.wait_for_timeout(300)
        assert 0 < sum(sizes) < 150_000, path


def test_foreign_text_stays_text(site: Site, furnished: dict[str, str]) -> None:
    page = site.context().new_page()
    for path in pages_of(furnished):
        page.goto(f"{site.url}/ui{path}")
        assert "owned" not in page.title()
        assert page.locator("main img, main script, main b").count() == 0, path
        assert "\x1b" not in page.inner_text("body")
    page.goto(f"{site.url}/ui/tasks/{furnished['failed']}")
    assert "no: <script>document.title='owned'</script>" in page.inner_text("main")
    page.goto(f"{site.url}/ui/tasks/{furnished['much']}")
    assert len(page.content()) < 50_000
    page.click("text=Show all of it")
    assert len(page.inner_text("body")) > 1_000_000
    assert page.locator("b").count() == 0


def test_a_page_follows_what_happens_and_leaves_alone_who_types(site: Site) -> None:
    page = site.page("/tasks?task=add&q=4711")
    expect(page.locator(".side button")).to_have_text("Live")
    expect(page.locator("#list")).to_contain_text("No task matches.")
    page.fill("#q", "4711 and more")
    task_id = site.submit("add", 4711)
    expect(page.locator("#list")).to_contain_text(task_id)
    expect(page.locator("#list")).to_contain_text("SUCCESS")
    assert page.input_value("#q") == "4711 and more"
    page.locator(".side button").click()
    expect(page.locator(".side button")).to_have_text("Paused")


def test_log_lines_come_as_they_are_written_and_stay_text(site: Site, furnished: dict[str, str]) -> None:
    page = site.page(f"/tasks/{furnished['noisy']}")
    expect(page.locator("#log pre")).to_contain_text("of many: <b>bold</b><script>document.title='owned'</script>")
    last = int(page.locator("#log pre").inner_text().rpartition(" of many")[0].rpartition(" ")[2])
    expect(page.locator("#log pre")).to_contain_text(f"line {last + 1} of many")
    page.goto(f"{site.url}/ui/tasks/{furnished['much']}")
    expect(page.locator("#log pre")).to_contain_text("(1000000 characters)")
    page.click("text=Show all that is kept")
    assert "zzz" in page.inner_text("body")


def test_progress_moves(site: Site, furnished: dict[str, str]) -> None:
    page = site.page(f"/tasks/{furnished['running']}")
    before = page.locator("#facts label").inner_text()
    assert before.startswith("step ")
    expect(page.locator("#facts label")).not_to_have_text(before)
    assert page.locator("progress").get_attribute("value")


def test_the_overview_tells_how_things_went(site: Site, furnished: dict[str, str]) -> None:
    eventually(lambda: site.ask("GET", "/stats")["whole"]["failure"], what="the workers tell what they did")
    page = site.page("")
    expect(page.locator("#figures")).to_contain_text("%")
    expect(page.locator("svg[aria-label^='Runs that ended'] rect.bad").first).to_be_visible()
    expect(page.locator("svg[aria-label^='Run times'] polyline").first).to_be_attached()
    expect(page.locator("#failed")).to_contain_text("ValueError")
    expect(page.locator("#running")).to_contain_text("climb")
    expect(page.locator("#troubles")).to_contain_text("No worker takes from queue nobody-takes")
    page.click("text=Last day")
    expect(page.locator("#figures")).to_contain_text("last day")
    assert site.ask("GET", f"/tasks/{furnished['failed']}")["status"] == "FAILURE"


def test_a_burst_drowns_nobody(site: Site) -> None:
    page = site.page("/tasks?q=burst")
    expect(page.locator(".side button")).to_have_text("Live")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    tasks = [{"task": "add", "args": [n], "queue": "burst"} for n in range(10_000)]
    began = page.evaluate("performance.now()")
    site.ask("POST", "/tasks", tasks)
    other = site.page("/tasks?queue=burst")
    expect(other.locator("#list tbody tr").first).to_be_visible()
    page.wait_for_timeout(2000)
    seconds = (page.evaluate("performance.now()") - began) / 1000
    assert len(asked) <= seconds + 2, "at most one request a second, whatever happens"
    assert site.ask("POST", "/queues/burst/purge")["purged"] == 10_000


class EveryAction:
    """All that can be done, with a browser that runs scripts and with one that does not."""

    def go(self, site: Site, path: str, script: bool) -> Page:
        return site.page(path, java_script_enabled=script)

    def test_tasks_are_filtered_looked_at_edited_and_run_again(self, site: Site, script: bool) -> None:
        task_id = site.submit("complain", f"{script} sorrow")
        site.ends(task_id)
        page = self.go(site, "/tasks", script)
        page.fill("#q", f"{script} sorrow")
        page.check("text=FAILURE")
        page.click("button:has-text('Filter')")
        assert "status=FAILURE" in page.url
        expect(page.locator("#list tbody tr")).to_have_count(1)
        page.click("#list a:has-text('complain')")
        expect(page.locator("#traceback pre")).to_contain_text("ValueError")
        page.click("#actions button:has-text('Run again')")
        expect(page.locator("[role=status]")).to_have_text("It is queued again.")
        assert site.ends(task_id, "FAILURE")["generation"] == 1
        page.click("#actions a:has-text('Edit and run again')")
        page.fill("#arg\\.text", "another")
        page.click("main button:has-text('Submit')")
        expect(page.locator("[role=status]")).to_have_text("It is queued.")
        assert site.ends(page.url.rpartition("/")[2])["args"] is not None

    def test_each_field_of_the_filter_says_which_tasks(self, site: Site, script: bool) -> None:
        ids = [site.submit("add", 17) for _ in range(3)]
        first, wanted, last = (site.ends(each) for each in ids)
        assert first["created_at"] < wanted["created_at"] < last["created_at"]
        page = self.go(site, "/tasks", script)
        page.click("summary:has-text('Task, queue, worker, time')")
        for name in ("task", "queue", "worker"):
            page.fill(f"#{name}", wanted[name])
        page.fill("#since", wanted["created_at"])
        page.fill("#until", last["created_at"])
        page.click("button:has-text('Filter')")
        expect(page.locator("#list tbody tr")).to_have_count(1)
        expect(page.locator(f"#list a[href='/ui/tasks/{ids[1]}']").first).to_be_visible()
        address = page.url
        page.click("a:has-text('Clear')")
        assert page.locator("#list tbody tr").count() >= 3
        page.goto(address)  # as somebody does who was sent it
        assert page.input_value("#since") == wanted["created_at"]
        expect(page.locator("#list tbody tr")).to_have_count(1)
        page.fill("#queue", "elsewhere")
        page.click("button:has-text('Filter')")
        expect(page.locator("#list .empty")).to_have_text("No task matches.")

    def test_tasks_are_cancelled_and_stopped(self, site: Site, script: bool) -> None:
        waiting, running = site.submit("add", 1, countdown=3000), site.submit("climb")
        site.ends(running, "STARTED")
        for task_id, word, sure in ((waiting, "Cancel…", "Cancel it"), (running, "Stop…", "Stop it")):
            page = self.go(site, f"/tasks/{task_id}", script)
            page.click(f"#actions summary:has-text('{word}')")
            page.click(f"#actions button:has-text('{sure}')")
            assert site.ends(task_id, "REVOKED")["status"] == "REVOKED"

    def test_all_that_match_and_no_others_change(self, site: Site, script: bool) -> None:
        mark = f"bulk-{script}"
        matching = [site.submit("complain", f"{mark} {n}") for n in range(12)]
        other = site.submit("complain", f"other-{script}")
        for each in (*matching, other):
            site.ends(each)
        page = self.go(site, f"/tasks?q={mark}", script)
        page.click("text=Run all that match again…")
        expect(page.locator("h1")).to_have_text("Run again: 12 tasks")
        page.click("button:has-text('Run again exactly these 12')")
        expect(page.locator("[role=status]")).to_have_text("12 of 12 tasks queued again.")
        assert [site.ends(each, "FAILURE")["generation"] for each in matching] == [1] * 12
        assert site.ends(other)["generation"] == 0

    def test_a_search_goes_on_and_what_it_finds_is_counted_to_the_end(self, site: Site, script: bool) -> None:
        queue = f"many-{script}"  # nobody takes from it
        many = [
            {"task": "add", "args": [1], "queue": queue, "task_id": f"{queue}.{n}."} for n in range(search.AT_ONCE + 9)
        ]
        site.ask("POST", "/tasks", many)
        page = self.go(site, f"/tasks?q={queue}.7.&stay=true", script)
        expect(page.locator("#list")).to_contain_text("Searched back to")
        expect(page.locator("#list tbody tr")).to_have_count(0)
        page.click("text=Search further")
        expect(page.locator("#list tbody tr")).to_have_count(1)
        page.goto(f"{site.url}/ui/tasks?q={queue}.7.")  # finds nothing at first, and goes on by itself
        expect(page.locator("#list tbody tr")).to_have_count(1)
        page.click("text=Cancel all that match…")
        expect(page.locator("h1")).to_have_text("Cancel: 1 task")
        page.click("button:has-text('Cancel exactly')")
        expect(page.locator("[role=status]")).to_have_text("1 of 1 tasks cancelled.")
        assert site.ends(f"{queue}.7.")["status"] == "REVOKED"
        assert site.ask("GET", f"/tasks/{queue}.8.")["status"] == "PENDING"
        site.ask("POST", f"/queues/{queue}/purge")

    @pytest.mark.parametrize("verb", ["Cancel", "Stop"])
    def test_all_that_match_are_ended_and_no_others(self, site: Site, script: bool, verb: str) -> None:
        task, before = ("add", "PENDING") if verb == "Cancel" else ("climb", "STARTED")
        args, options = ([1], {"countdown": 3000}) if verb == "Cancel" else ([], {})
        mark = f"{verb}-{script}-"
        matching = [site.submit(task, *args, task_id=f"{mark}{n}", **options) for n in range(3)]
        other = site.submit(task, *args, **options)
        for each in (*matching, other):
            site.ends(each, before)
        page = self.go(site, f"/tasks?q={mark}", script)
        page.click(f"text={verb} all that match…")
        expect(page.locator("h1")).to_have_text(f"{verb}: 3 tasks")
        page.click(f"button:has-text('{verb} exactly these 3')")
        done = "cancelled" if verb == "Cancel" else "told to stop"
        expect(page.locator("[role=status]")).to_have_text(f"3 of 3 tasks {done}.")
        assert [site.ends(each)["status"] for each in matching] == ["REVOKED"] * 3
        assert site.ask("GET", f"/tasks/{other}")["status"] == before
        site.ask("DELETE", f"/tasks/{other}?terminate=true")
        site.ends(other)

    def test_queues_are_paused_resumed_and_purged(self, site: Site, script: bool) -> None:
        name = f"queue {script}"
        site.submit("add", 1, queue=name)
        page = self.go(site, "/queues", script)
        row = page.locator("#list tr", has_text=name)
        row.locator("button:has-text('Pause')").click()
        expect(row).to_contain_text("paused")
        row.locator("button:has-text('Resume')").click()
        expect(row.locator("button:has-text('Pause')")).to_be_visible()
        row.locator("summary:has-text('Purge')").click()
        row.locator("form[action$=purge] button").click()
        expect(page.locator("[role=status]")).to_contain_text("1 waiting messages removed")

    def test_workers_are_asked(self, site: Site, script: bool) -> None:
        page = self.go(site, "/workers", script)
        page.click("button:has-text('Ping')")
        expect(page.locator("[role=status]")).to_contain_text("answers")
        page.click("button:has-text('Stacks')")
        expect(page.locator("h2").first).to_contain_text("Process ")
        stacks = page.locator("pre").first
        expect(stacks).to_contain_text("thread")
        assert len(stacks.inner_text().splitlines()) > 3
        if script:
            assert_accessible(page)

    def test_a_worker_is_shut_down(self, site: Site, script: bool) -> None:
        name = f"spare-{script}"
        command = ("worker", "app.py", "-Q", name, "--name", name, "--processes", "1")
        with launched(*command, cwd=site.folder, env=site.env) as spare:
            spare.prints("ready:")

            def measured() -> bool:
                (own,) = (each for each in site.ask("GET", "/workers")["items"] if each["name"].startswith(name))
                return [child["cpu"] is not None for child in own["status"]["children"]] == [True]

            eventually(measured, what="a second report, with what it has used since the first")
            page = self.go(site, "/workers", script)
            card = page.locator("section.card", has_text=name)
            expect(card).to_contain_text("of a core")
            card.locator("summary:has-text('Shut down')").click()
            card.locator(f"button:has-text('Shut down {name}')").click()
            expect(page.locator("[role=status]")).to_contain_text("was told to end")
            eventually(lambda: name not in str(site.ask("GET", "/workers")), what="the worker is gone")

    def test_dead_letters_are_replayed_and_discarded_by_filter(self, site: Site, script: bool) -> None:
        head = {"content-type": "application/octet-stream"}
        for _ in range(2):
            httpx.post(f"{site.url}/queues/default/messages", content=b"<b>no task", headers=head).raise_for_status()
        first = eventually(lambda: len(letters := site.ask("GET", "/dead")["items"]) == 2 and letters) or []
        old = {each["id"] for each in first}

        def died_again(number: int) -> bool:
            found = {each["id"] for each in site.ask("GET", "/dead")["items"]}
            return len(found) == 2 and len(found - old) == number

        page = self.go(site, "/dead?queue=default", script)
        page.click("#list button:has-text('Replay') >> nth=0")
        expect(page.locator("[role=status]")).to_contain_text("Queued again in default.")
        eventually(lambda: died_again(1), what="it died again")
        page = self.go(site, f"/dead/{next(each['id'] for each in site.ask('GET', '/dead')['items'])}", script)
        if script:
            assert_accessible(page)
        old = {each["id"] for each in site.ask("GET", "/dead")["items"]}
        page.click("main button:has-text('Replay')")
        expect(page.locator("[role=status]")).to_contain_text("Queued again in default.")
        eventually(lambda: died_again(1), what="it died again, sent back from its own page")
        page = self.go(site, "/dead?queue=default", script)
        old = {each["id"] for each in site.ask("GET", "/dead")["items"]}
        page.click("text=Replay all that match…")
        page.click("button:has-text('Replay exactly these 2')")
        expect(page.locator("[role=status]")).to_contain_text("2 of 2 letters queued again.")
        eventually(lambda: died_again(2), what="both died again")
        page = self.go(site, "/dead?queue=default", script)
        page.click("text=Discard all that match…")
        page.click("button:has-text('Discard exactly these 2')")
        expect(page.locator("[role=status]")).to_contain_text("2 of 2 letters thrown away.")

    def test_schedules_are_run_paused_and_resumed(self, site: Site, script: bool) -> None:
        page = self.go(site, "/schedules", script)
        expect(page.locator("#list")).to_contain_text("0 6 1 1 *")
        page.click("button:has-text('Run now')")
        expect(page.locator("[role=status]")).to_contain_text("Queued as")
        page.click("button:has-text('Pause'):visible >> nth=-1")
        expect(page.locator("#list")).to_contain_text("paused")
        page.click("button:has-text('Resume')")
        expect(page.locator("[role=status]")).to_contain_text("goes on")

    def test_dead_letters_are_looked_at_replayed_and_discarded(self, site: Site, script: bool) -> None:
        # who has died twice runs in a process without another suspect: what runs for ever there is ended first
        for endless in site.ask("GET", "/tasks?status=STARTED")["items"]:
            site.ask("DELETE", f"/tasks/{endless['task_id']}?terminate=true")
            site.ends(endless["task_id"])
        task_id = site.submit("crash")
        eventually(lambda: site.ask("GET", "/dead")["items"], within=110)
        assert site.ends(task_id)["status"] == "FAILURE"
        page = self.go(site, "/dead", script)
        page.click("#list td a")
        expect(page.locator("main")).to_contain_text("WorkerLostError")
        page.click("summary:has-text('Discard…')")
        page.click("button:has-text('Discard it')")
        expect(page.locator("[role=status]")).to_contain_text("Thrown away.")
        expect(page.locator("#list")).to_contain_text("There are none.")

    def test_a_task_is_submitted_and_the_servers_word_stands_at_the_field(self, site: Site, script: bool) -> None:
        page = self.go(site, "/submit", script)
        page.click("main a:has-text('add')")
        page.fill("#arg\\.x", "two")
        page.click("main button:has-text('Submit')")
        expect(page.locator("#arg\\.x-fault")).to_contain_text("expected int")
        assert page.get_attribute("#arg\\.x", "aria-invalid") == "true"
        page.fill("#arg\\.x", "2")
        page.select_option("#arg\\.how", '"slow"')
        page.click("main button:has-text('Submit')")
        expect(page.locator("[role=status]")).to_have_text("It is queued.")
        assert site.ends(page.url.rpartition("/")[2])["result"] == 3


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
class TestEveryAction(EveryAction):
    """In one file of SQLite; on servers in test_dashboard_servers.py."""


@pytest.mark.usefixtures("furnished")
def test_it_works_by_keyboard(site: Site) -> None:
    page = site.page("/tasks?q=&status=FAILURE")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    for _ in range(40):
        page.keyboard.press("Tab")
        if "complain" in page.evaluate("document.activeElement.textContent"):
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/ui/tasks/*")
    expect(page.locator("h1")).to_have_text("complain")


def test_behind_a_key_it_asks_once(site: Site, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    port, env = free_port(), {"PENSTOCK_API_KEYS": "a-key-for-the-test,a-key-to-look-only=read"}
    with launched("api", "app.py", "--port", str(port), cwd=tmp_path, env=env) as api:
        api.prints(f":{port}/ui")
        page = site.context().new_page()
        page.goto(f"http://127.0.0.1:{port}/ui/queues?x=1")
        page.fill("#key", "a-key-to-look-only")
        page.keyboard.press("Enter")
        page.wait_for_url("**/ui/queues?x=1")
        expect(page.locator(".side")).to_contain_text("Live")
        assert page.locator("a:has-text('Submit')").count() == 0
        site.faults.clear()
        page.click("button:has-text('Sign out')")
        page.wait_for_url("**/ui/login")
        page.goto(f"http://127.0.0.1:{port}/ui/submit/add")
        page.fill("#key", "a-key-for-the-test")
        page.keyboard.press("Enter")
        page.fill("#arg\\.x", "1")
        page.click("main button:has-text('Submit')")
        expect(page.locator("[role=status]")).to_have_text("It is queued.")
        site.close_pages()


def test_without_the_dashboard_there_is_none(site: Site, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    port = free_port()
    with launched("api", "app.py", "--no-dashboard", "--port", str(port), cwd=tmp_path) as api:
        assert "/ui" not in api.prints("/docs")
        page = site.context().new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        assert page.url.endswith("/docs")
        answer = page.goto(f"http://127.0.0.1:{port}/ui")
        assert answer is not None
        assert answer.status == 404
        site.close_pages()
