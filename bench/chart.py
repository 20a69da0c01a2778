"""The drain of one process, as bars: one group for each broker, in the scale of its longest bar. Plain SVG."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from bench.contender import Contender
from bench.results import Results

FIGURE = "drain-1"
WIDTH, LABEL, BAR, ROW = 760, 190, 440, 22  #: pixels
OURS, BARE, THEIRS = "#0b6e99", "#b0b7bd", "#e09f3e"


def drawn(results: Results, contenders: Sequence[Contender]) -> str:
    """The text of the file."""
    parts: list[str] = []
    y = ROW
    for broker in dict.fromkeys(each.broker for each in contenders):
        group = [each for each in contenders if each.broker == broker]
        bars = [(each, found.median) for each in group if (found := results.summary(FIGURE, each.name))]
        if not bars:
            continue
        parts.append(_text(0, y, f"{broker}: no-op tasks a second, one process", weight="bold"))
        y += ROW
        longest = max(value for _, value in bars)
        for contender, value in sorted(bars, key=lambda bar: -bar[1]):
            parts += _bar(y, contender, value, longest)
            y += ROW
        y += ROW // 2
    style = "font-family='sans-serif' font-size='13'"
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {y}' role='img' {style}>"
    title = "<title>Tasks a second, drained by one process</title>"
    return "\n".join([head, title, f"<rect width='{WIDTH}' height='{y}' fill='white'/>", *parts, "</svg>"]) + "\n"


def _bar(y: int, contender: Contender, value: float, longest: float) -> list[str]:
    width = max(1, round(BAR * value / longest))
    colour = {"penstock": OURS, "bare": BARE}.get(contender.name.partition("-")[0], THEIRS)
    return [
        _text(LABEL - 8, y, contender.title, anchor="end"),
        f"<rect x='{LABEL}' y='{y - 13}' width='{width}' height='{ROW - 5}' fill='{colour}'/>",
        _text(LABEL + width + 6, y, f"{value:,.0f}"),
    ]


def _text(x: int, y: int, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return f"<text x='{x}' y='{y}' text-anchor='{anchor}' font-weight='{weight}'>{escape(text)}</text>"
