"""The results as a page for people and as JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence

from bench.contender import Contender
from bench.goals import GOALS, Goal
from bench.measurement import Figure, Measurement
from bench.results import Results, Summary

Row = Sequence[str]


def page(results: Results, contenders: Sequence[Contender], measurements: Sequence[Measurement]) -> str:
    """Markdown."""
    figures = [figure for measurement in measurements for figure in measurement.figures]
    parts = ["# Benchmarks", _how(results), "![Tasks a second on each broker](images/benchmarks.svg)", ""]
    for broker in dict.fromkeys(each.broker for each in contenders):
        group = [each for each in contenders if each.broker == broker]
        parts += [f"## On {broker}", "", *_table(_comparison(results, group, figures)), ""]
    parts += ["## Goals", "", *_table(_standing(results)), "", "## How it was set up", ""]
    parts += [_setting(results, each) for each in contenders]
    if missing := results.about["missing"]:
        lines = [f"- {name}: {why.splitlines()[0]}" for name, why in missing.items()]
        parts += ["", "## What was not measured", "", *lines]
    if results.skipped:
        parts += ["", "## What there was no time for", "", *(f"- {each}" for each in results.skipped)]
    if results.failures:
        parts += ["", "## What failed", "", *(f"- {each}" for each in results.failures)]
    return "\n".join(parts) + "\n"


def data(results: Results) -> str:
    """JSON: all numbers of all rounds."""
    kept = {"about": results.about, "rounds": results.rounds, "values": results.values}
    return (
        json.dumps(
            {
                **kept,
                "syncs_us": results.syncs,
                "idle_percent": results.idle,
                "skipped": results.skipped,
                "failures": results.failures,
            },
            indent=1,
        )
        + "\n"
    )


def _how(results: Results) -> str:
    date, machine = results.about["date"], results.about["machine"]
    return f"""
Made by `make bench` on {date}: {machine["cores"]} cores of {machine["cpu"]}, {machine["memory_gib"]} GiB, Linux. Each
cell is the median of up to {results.rounds} rounds, with the lowest and the highest in parentheses; what stands
alone was measured once. In a round all contenders are measured one right after the other. Beside a contender stands how
many times as good Penstock is (above 1: better), which is made within each round.

Absolute figures are those of this machine in that hour, with whatever else ran on it; the ratios are what counts. A
measurement waits for the machine to be idle, but not for ever: it was {_spread(results.idle)} % idle before them. Every
contender syncs each commit (Redis its append-only file once a second); writing and syncing 4 KiB took
{_spread(results.syncs)} µs before the measurements: that is what single submissions on SQLite are made of.

A drain counts from the first look from outside that sees an ending to the one that sees them all ended well where the
results are kept (PgQueuer and Procrastinate keep none: where their jobs are); the start of the worker stands in rows of
its own. Before a run every contender runs 50 tasks, each of which must run once, and this count is checked, too. Load
generator and clients run on the same cores. CPU is that of all of a worker's processes, without the server's: a busy
machine changes it far less.
"""


def _spread(values: Sequence[float]) -> str:
    return f"{min(values):,.0f} to {max(values):,.0f} (median {statistics.median(values):,.0f})"


def _comparison(results: Results, contenders: Sequence[Contender], figures: Sequence[Figure]) -> Iterator[Row]:
    ours, *others = contenders
    titles = [title for each in others for title in (each.title, f"Penstock to {each.title}")]
    yield ("", "unit", ours.title, *titles)
    for figure in figures:
        cells = [_cell(results.summary(figure.name, ours.name))]
        cells += [cell for other in others for cell in _against(results, figure, ours, other)]
        if any(cells):
            yield (figure.title, figure.unit, *cells)


def _against(results: Results, figure: Figure, ours: Contender, other: Contender) -> Row:
    """Another contender's cell, and how many times as good ours is."""

    def better(our: float, their: float) -> float:
        return our / their if figure.more_is_better else their / our

    ratio = results.combined((figure.name, ours.name), (figure.name, other.name), better)
    return _cell(results.summary(figure.name, other.name)), _number(ratio.median) if ratio else ""


def _standing(results: Results) -> Iterator[Row]:
    yield ("", "goal", "found", "")
    for goal in GOALS:
        found = goal.found(results)
        if found is not None:
            yield (
                goal.title,
                _wanted(goal),
                f"{_cell(found)} {goal.unit}",
                "reached" if goal.met(found) else "**not**",
            )


def _wanted(goal: Goal) -> str:
    return f"{'≥' if goal.at_least else '≤'} {_number(goal.target)} {goal.unit}"


def _setting(results: Results, contender: Contender) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in results.about["versions"][contender.name].items())
    return f"- **{contender.title}** on {contender.broker} ({versions}): {contender.options}."


def _table(rows: Iterator[Row]) -> Iterator[str]:
    head = next(rows)
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' for _ in head)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _cell(summary: Summary | None) -> str:
    if summary is None:
        return ""
    if summary.count == 1:
        return _number(summary.median)
    return f"{_number(summary.median)} ({_number(summary.least)} to {_number(summary.most)})"


def _number(value: float) -> str:
    """Three digits that count."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
