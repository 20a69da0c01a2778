"""Pictures of the dashboard for the documentation: `python -m tests.screenshots docs/images`.

A shop runs for half a minute with real tasks; only the charts' past hour is made up. Each page in the light, in the
dark, and on a phone.
"""

from __future__ import annotations

import asyncio
import io
import math
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from penstock import Penstock
from penstock.client import history
from penstock.core.history import Depth, RollUp, class_of
from tests.processes import eventually, free_port, launched

APP = '''
import os, random, time
from dataclasses import dataclass
from typing import Literal
from penstock import Penstock

app = Penstock("shop")


@dataclass
class Item:
    name: str
    price: float


@app.task(max_retries=2, retry_backoff=0.2)
def charge(order: int, card: str, amount: float, currency: Literal["eur", "usd"] = "eur",
           items: list[Item] | None = None) -> dict:
    """Charge a credit card for an order."""
    time.sleep(random.random() / 100)
    if order % 17 == 0:
        print(f"order {order}: asking the bank a second time")
        raise ConnectionError(f"the bank did not answer for order {order}")
    return {"order": order, "amount": amount, "currency": currency}


@app.task(bind=True)
def encode(self, video: str, minutes: int = 1) -> str:
    """Encode a video."""
    print(f"{video}: {minutes} min, 1920 x 1080, h264 to av1")
    for frame in range(100):
        print(f"frame {frame * 30}: {24 + frame % 3} frames a second")
        self.progress(frame / 100, f"frame {frame * 30}")
        time.sleep(minutes * 0.6)
    return video


@app.task
def email(to: str, subject: str, body: str = "") -> None:
    """Send an e-mail."""
    time.sleep(random.random() / 50)


@app.task
def resize(path: str) -> None:
    """Make thumbnails with a library that crashes."""
    os._exit(1)


@app.periodic(every=300)
def sync() -> int:
    """Fetch the suppliers' prices."""
    return 42


@app.periodic("0 6 * * 1-5", timezone="Europe/Berlin")
def report() -> None:
    """Send the morning report."""
    raise RuntimeError("no figures for today")
'''

ROOT = Path(__file__).parent.parent
#: Where this runs is nobody's business: the texts of a page name other folders.
ELSEWHERE = """places => {
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    let text = walk.currentNode.data;
    for (const [here, there] of places) text = text.replaceAll(here, there);
    text = text.replaceAll(/\\/tmp\\/tmp\\w+/g, "/srv/shop");
    if (text !== walk.currentNode.data) walk.currentNode.data = text;
  }
}"""
WIDE, TALL, COLOURS = 1080, 720, 64
PHONE = 360


async def remember(folder: Path) -> None:
    """An hour of history."""
    backends = Penstock("shop", broker=f"sqlite:///{folder}/penstock.db").backends()
    await backends.open()
    now, chance = int(time.time() // 60) * 60, random.Random(4)
    for back in range(1, 60):
        runs = int(900 + 400 * math.sin(back / 9) + chance.random() * 150)
        failed = int(runs * (0.12 if 20 < back < 26 else 0.01))
        times = [chance.lognormvariate(-4.2, 0.8) for _ in range(200)]
        rollup = RollUp(
            ended={"SUCCESS": runs - failed, "FAILURE": failed, "RETRY": failed * 2},
            queues={
                "default": Depth(
                    int(40 + 30 * math.sin(back / 5) + 300 * (20 < back < 26)), 2.0 + 30 * (20 < back < 26)
                ),
                "mailing": Depth(max(0, 120 - back * 2), max(0.0, 3600.0 - back * 60)),
            },
        )
        for each in times:
            rollup.runs[class_of(each)] = rollup.runs.get(class_of(each), 0) + runs // len(times)
        await history.add(backends, {now - back * 60: rollup})
    await backends.close()


def furnish(ask: Any) -> dict[str, str]:
    """Give the shop something to do; return the ids of tasks that are looked at."""
    chance = random.Random(7)
    for order in range(300):
        ask("/tasks", {"task": "charge", "args": [1000 + order, "4111-1111", round(chance.random() * 90, 2)]})
        ask("/tasks", {"task": "email", "args": [f"kim{order}@example.com", f"Order {1000 + order} is on its way"]})
    for order in range(30):
        ask("/tasks", {"task": "email", "args": [f"kim{order}@example.com", "Our news"], "queue": "mailing"})
    ask("/tasks", {"task": "email", "args": ["kim@example.com", "Happy birthday"], "countdown": 86400})
    ask("/tasks", {"task": "resize", "args": ["cat.png"]})
    ask("/schedules/report/run", {})
    running = ask("/tasks", {"task": "encode", "args": ["holiday.mov", 2]})["task_id"]
    ask("/tasks", {"task": "encode", "args": ["cat.mov", 3]})
    failed = ask("/tasks", {"task": "charge", "args": [1700, "4111-1111", 12.5]})["task_id"]
    return {"running": str(running), "failed": str(failed)}


def shot(page: Page, height: int) -> Image.Image:
    """The upper part of a page, as soon as it stands still."""
    page.wait_for_timeout(1500)
    page.evaluate(ELSEWHERE, [[sys.prefix, "/srv/shop/.venv"], [str(ROOT), "/srv/penstock"]])
    whole = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    return whole.crop((0, 0, whole.width, min(whole.height, height)))


def save(image: Image.Image, path: Path) -> None:
    image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    sys.stdout.write(f"{path}: {path.stat().st_size / 1000:.0f} kB\n")


def beside(images: list[Image.Image]) -> Image.Image:
    gap = 16
    whole = Image.new(
        "RGB", (sum(each.width + gap for each in images) - gap, max(each.height for each in images)), "#888"
    )
    place = 0
    for each in images:
        whole.paste(each, (place, 0))
        place += each.width + gap
    return whole


def look(browser: Browser, name: str, url: str, height: int, folder: Path, *, press: str = "") -> None:
    """A page in the light; and in the dark beside what it is on a phone. `press`: a button that leads to it."""

    def taken(width: int, high: int, scheme: Literal["light", "dark"]) -> Image.Image:
        context = browser.new_context(viewport={"width": width, "height": min(high, TALL)}, color_scheme=scheme)
        page = context.new_page()
        page.goto(url)
        if press:
            page.click(press)
        found = shot(page, high)
        context.close()
        return found

    save(taken(WIDE, height, "light"), folder / f"dashboard-{name}.png")
    high = max(height, TALL)
    save(beside([taken(WIDE, high, "dark"), taken(PHONE, high, "light")]), folder / f"dashboard-{name}-dark.png")


def shoot(url: str, locked: str, ids: dict[str, str], folder: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        pages: dict[str, tuple[str, int]] = {
            "overview": ("", 1000),
            "tasks": ("/tasks?queue=default&status=FAILURE&status=SUCCESS", 760),
            "bulk": ("/bulk/retry?queue=default", 560),
            "task": (f"/tasks/{ids['failed']}", 1020),
            "task-running": (f"/tasks/{ids['running']}", 860),
            "queues": ("/queues", 560),
            "workers": ("/workers", 520),
            "schedules": ("/schedules", 320),
            "dead": ("/dead", 420),
            "letter": (f"/dead/{ids['letter']}", 760),
            "submit": ("/submit/charge", 700),
            "submit-list": ("/submit", 420),
        }
        for name, (path, height) in pages.items():
            look(browser, name, url + path, height, folder)
        look(browser, "stacks", url + "/workers", 760, folder, press="text=Stacks")
        look(browser, "login", locked, 320, folder)
        browser.close()


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    port, other = free_port(), free_port()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "app.py").write_text(APP)
        with launched("dev", "--port", str(port), cwd=folder) as dev:
            dev.prints("Ctrl-C ends it all")
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                ids = furnish(lambda path, content: client.post(path, json=content).raise_for_status().json())
                asyncio.run(remember(folder))
                eventually(lambda: client.get("/dead").json()["items"], within=120)
                eventually(lambda: client.get(f"/tasks/{ids['failed']}").json()["status"] == "FAILURE", within=120)
                eventually(lambda: client.get(f"/tasks/{ids['running']}").json()["status"] == "STARTED", within=120)
                ids["letter"] = client.get("/dead").json()["items"][0]["id"]
            with launched(
                "api", "app.py", "--port", str(other), cwd=folder, env={"PENSTOCK_API_KEYS": "k" * 32}
            ) as api:
                api.prints(f":{other}/ui")
                shoot(f"http://127.0.0.1:{port}/ui", f"http://127.0.0.1:{other}/ui", ids, target)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images"))
