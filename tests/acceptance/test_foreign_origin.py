"""A page of another origin can neither submit nor read on a default `penstock dev`, in a real browser.

What was queued is read from the file, from outside. The foreign pages come from another port of this machine, from
another host name, and (DNS rebinding) from a name that leads to the API's own port.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.processes import free_port, launched

APP = """
from penstock import Penstock

app = Penstock("shop")


@app.task
def add(x: int = 1, y: int = 1) -> int:
    return x + y
"""

#: Every way that a page has to send something elsewhere; each answers what the page could read, or "refused".
TRIES = """
async (api) => {
  const body = JSON.stringify({task: "add", args: [2, 3]});
  const read = async (path, options) => {
    try { return await (await fetch(api + path, options)).text() } catch { return "refused" }
  };
  const found = [];
  for (const mode of ["cors", "no-cors"]) {
    for (const type of ["application/json", "text/plain", "application/x-www-form-urlencoded"]) {
      found.push(await read("/tasks", {method: "POST", mode, body, headers: {"content-type": type}}));
      found.push(await read("/tasks/add", {method: "POST", mode, headers: {"content-type": type}}));
    }
    found.push(await read("/tasks/add", {method: "POST", mode}));
    found.push(await read("/tasks", {mode}));
    found.push(await read("/openapi.json", {mode}));
  }
  navigator.sendBeacon(api + "/tasks", new Blob([body], {type: "text/plain"}));
  navigator.sendBeacon(api + "/tasks/add");
  found.push(await new Promise(done => {
    const events = new EventSource(api + "/events");
    events.onopen = () => { events.close(); done("opened") };
    events.onerror = () => { events.close(); done("refused") };
  }));
  for (const [tag, path] of [["script", "/openapi.json"], ["img", "/docs"], ["iframe", "/docs"]]) {
    found.push(await new Promise(done => {
      const element = document.createElement(tag);
      element.onerror = () => done("refused");
      element.onload = () => done(tag === "iframe" && !element.contentDocument ? "refused" : "loaded");
      element.src = api + path;
      document.documentElement.append(element);
    }));
  }
  return found;
}
"""

FORM = '<form method="post" action="{api}/tasks/add"><button>go</button></form>'


class Foreign(BaseHTTPRequestHandler):
    """An empty page, whatever is asked for."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title>")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name for it
        pass


@dataclass
class Site:
    """A running `penstock dev`, a foreign server, and a browser to which evil.example is this machine."""

    port: int
    elsewhere: int
    database: Path
    browser: Browser

    def page(self, url: str) -> Page:
        page = self.browser.new_page()
        page.goto(url)
        return page

    def queued(self) -> int:
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM records").fetchone()[0])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "app.py").write_text(APP)
    port = free_port()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "the browser tests need Chromium: apt-get install chromium"
    elsewhere = ThreadingHTTPServer(("127.0.0.1", 0), Foreign)
    threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
    flags = [
        "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP evil.example 127.0.0.1",
    ]  # fmt: skip
    with launched("dev", "--port", str(port), cwd=folder) as dev, sync_playwright() as playwright:
        dev.prints("Ctrl-C ends it all")
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield Site(port, elsewhere.server_port, folder / "penstock.db", browser)
        browser.close()
    elsewhere.shutdown()
    elsewhere.server_close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "evil.example"])
def test_a_foreign_page_can_neither_submit_nor_read(site: Site, host: str) -> None:
    before = site.queued()
    page = site.page(f"http://{host}:{site.elsewhere}/")
    for name in ("127.0.0.1", "localhost"):
        found = page.evaluate(TRIES, f"http://{name}:{site.port}")
        assert set(found) <= {"refused", ""}, "nothing but opaque answers reaches the page"
    assert site.queued() == before


def test_a_page_without_an_origin_can_neither_submit_nor_read(site: Site) -> None:
    before = site.queued()
    found = site.page("data:text/html,<title>nowhere</title>").evaluate(TRIES, f"http://127.0.0.1:{site.port}")
    assert set(found) <= {"refused", ""}
    assert site.queued() == before


@pytest.mark.parametrize("host", ["127.0.0.1", "evil.example"])
def test_a_form_on_a_foreign_page_submits_nothing(site: Site, host: str) -> None:
    before = site.queued()
    page = site.page(f"http://{host}:{site.elsewhere}/")
    page.set_content(FORM.format(api=f"http://127.0.0.1:{site.port}"))
    with page.expect_response(lambda response: "/tasks/add" in response.url) as answer:
        page.click("button")
    assert answer.value.status == 403
    assert site.queued() == before


def test_a_name_that_leads_here_is_no_way_in(site: Site) -> None:
    before = site.queued()
    page = site.browser.new_page()
    answer = page.goto(f"http://evil.example:{site.port}/docs")
    assert answer is not None
    assert answer.status == 403
    found = page.evaluate(TRIES, f"http://evil.example:{site.port}")
    assert not any("task_id" in each or "openapi" in each or each == "opened" for each in found)
    assert site.queued() == before


def test_the_tries_would_succeed_on_a_page_of_the_api_itself(site: Site) -> None:
    before = site.queued()
    # not /docs: its own Content-Security-Policy lets it ask for nothing
    found = site.page(f"http://127.0.0.1:{site.port}/health/live").evaluate(TRIES, f"http://127.0.0.1:{site.port}")
    assert "opened" in found
    assert any("task_id" in each for each in found)
    assert site.queued() > before


def test_the_documentation_loads_nothing_from_elsewhere_and_without_errors(site: Site) -> None:
    page = site.browser.new_page()
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    page.goto(f"http://127.0.0.1:{site.port}/docs")
    page.wait_for_load_state("networkidle")
    assert "add" in page.inner_text("body")
    assert faults == []
    assert {url for url in asked if not url.startswith(f"http://127.0.0.1:{site.port}/")} <= {"about:blank"}
