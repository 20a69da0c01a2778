"""Charts as plain SVG, drawn here: what a template needs to write one down. No script is needed to see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from penstock.dashboard import view

WIDTH, HEIGHT = 600, 150  # of the picture
LEFT, BOTTOM, TOP = 4, 20, 16  # room around the curves
PERIODS = {60: "a minute", 600: "in ten minutes", 3600: "an hour"}
LINES = 3  # queues that are drawn
#: Stretches of time that can be looked at, as the API calls them, in words.
SPANS = {"1h": "Last hour", "1d": "Last day", "7d": "Last week"}


@dataclass(frozen=True)
class Bar:
    """One column, or one part of it."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True)
class Line:
    """A curve, in parts where values are missing."""

    kind: str
    parts: list[str]


@dataclass(frozen=True)
class Chart:
    """A picture with its words."""

    name: str
    label: str  #: all of it in one sentence, for those who do not see it
    top: str  #: what the upper edge stands for
    times: list[tuple[float, str, str]]  #: x, anchor, text
    legend: list[tuple[str, str]]  #: kind, word
    bars: list[Bar]
    lines: list[Line]


def span(wanted: str) -> str:
    """The stretch of time that is asked for, or the shortest."""
    return wanted if wanted in SPANS else next(iter(SPANS))


def ended(stats: dict[str, Any]) -> Chart:
    """How many runs ended, well and badly, in each period."""
    items, whole = stats["items"], stats["whole"]
    most = max(_runs(item) for item in items) or 1
    step = (WIDTH - 2 * LEFT) / len(items)
    bars = []
    for place, item in enumerate(items):
        height = 0.0
        for name, kind in (("success", "good"), ("retry", "warn"), ("failure", "bad")):
            part = item[name] / most * (HEIGHT - BOTTOM - TOP)
            if part:
                height += part
                title = f"{_time(item['at'], stats)}: {view.count(item[name])} {name}"
                bars.append(Bar(LEFT + place * step, HEIGHT - BOTTOM - height, step * 0.85, part, kind, title))
    label = f"Runs that ended: {view.count(whole['success'])} well, {view.count(whole['failure'])} in failure"
    legend = [("good", "success"), ("warn", "retry"), ("bad", "failure")]
    top = f"{view.count(most)} {PERIODS.get(stats['step'], '')}"
    return Chart("ended", label, top, _times(stats), legend, bars, [])


def run_times(stats: dict[str, Any]) -> Chart:
    """Percentiles of the run times."""
    whole = stats["whole"]
    most = max((item["p99"] or 0.0 for item in stats["items"]), default=0.0) or 1.0
    curves = [("line1", "median", "p50"), ("line2", "95 %", "p95"), ("line3", "99 %", "p99")]
    lines = [Line(kind, _parts([item[name] for item in stats["items"]], most)) for kind, _, name in curves]
    label = f"Run times: median {view.duration(whole['p50'])}, 95 % within {view.duration(whole['p95'])}"
    legend = [(kind, word) for kind, word, _ in curves]
    return Chart("times", label, view.duration(most), _times(stats), legend, [], lines)


def depths(stats: dict[str, Any], only: str | None = None, *, ages: bool = False) -> Chart:
    """How many messages waited in the fullest queues, or in `only` this one; or the age of their oldest."""
    field = "oldest" if ages else "ready"
    queues = [only] if only else _fullest(stats, field)
    drawn = [item["queues"][name] for item in stats["items"] for name in queues if name in item["queues"]]
    most = max((depth[field] for depth in drawn), default=0) or 1
    kinds = [f"line{number}" for number in range(1, LINES + 1)]
    lines = [
        Line(kind, _parts([item["queues"].get(name, {}).get(field) for item in stats["items"]], most))
        for kind, name in zip(kinds, queues, strict=False)
    ]
    top = view.duration(most) if ages else view.count(most)
    what = "Age of the oldest waiting message" if ages else "Waiting messages"
    legend = [(kind, view.clip(name, 40)) for kind, name in zip(kinds, queues, strict=False)]
    label = f"{what}, at most {top}"
    return Chart("ages" if ages else "depths", label, top, _times(stats), legend, [], lines)


def _fullest(stats: dict[str, Any], field: str) -> list[str]:
    """The queues to draw, by name: so each has its colour in both charts of the same ones."""
    most: dict[str, float] = {}
    for item in stats["items"]:
        for name, depth in item["queues"].items():
            most[name] = max(most.get(name, 0), depth[field])
    return sorted(sorted(most, key=lambda name: (-most[name], name))[:LINES])


def _parts(values: Sequence[float | None], most: float) -> list[str]:
    """The points of a curve, in stretches without gaps; a single point is a short line."""
    step = (WIDTH - 2 * LEFT) / len(values)
    parts: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            parts.append([])
            continue
        x, y = LEFT + (place + 0.5) * step, HEIGHT - BOTTOM - value / most * (HEIGHT - BOTTOM - TOP)
        parts[-1].append(f"{x:.1f},{y:.1f}")
    return [" ".join(part if len(part) > 1 else [part[0], _beside(part[0], step)]) for part in parts if part]


def _beside(point: str, step: float) -> str:
    x, y = point.split(",")
    return f"{float(x) + step / 2:.1f},{y}"


def _runs(item: Any) -> int:
    return int(item["success"] + item["retry"] + item["failure"])


def _times(stats: dict[str, Any]) -> list[tuple[float, str, str]]:
    items = stats["items"]
    middle = len(items) // 2
    return [
        (LEFT, "start", _time(items[0]["at"], stats)),
        (WIDTH / 2, "middle", _time(items[middle]["at"], stats)),
        (WIDTH - LEFT, "end", "now"),
    ]


def _time(text: str, stats: dict[str, Any]) -> str:
    found = view.moment(text) or datetime.fromtimestamp(0, UTC)
    return f"{found:%a %H:%M}" if stats["span"] == "7d" else f"{found:%H:%M}"
