"""The documentation as one HTML page, written from the route table. It needs no script and no other host."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from itertools import groupby
from typing import Any

from penstock.api.problems import PREFIX, Kind, kinds, title
from penstock.api.route import Parameter, Route
from penstock.api.schemas import COMPONENTS, Schema

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --get: #1a7f37; --post: #0969da; --delete: #cf222e; }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1.5rem; max-width: 60rem }
code, pre { font: 0.875em/1.5 ui-monospace, monospace }
pre { background: var(--soft); padding: 0.75rem; overflow-x: auto; border-radius: 6px; margin: 0.5rem 0 }
details { border: 1px solid var(--line); border-radius: 6px; margin: 0.5rem 0; padding: 0 0.75rem }
summary { cursor: pointer; padding: 0.5rem 0; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0 }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.5rem; border-top: 1px solid var(--line) }
td:first-child { white-space: nowrap }
.method { display: inline-block; min-width: 4.5rem; font-weight: 700 }
.get { color: var(--get) } .post { color: var(--post) } .delete { color: var(--delete) }
.scope { float: right; opacity: 0.7; font-size: 0.875em }
a { color: inherit }
"""

FIRST = """curl -X POST localhost:8000/tasks -H 'content-type: application/json' -d '{"task": "add", "args": [2, 3]}'"""


def documentation(routes: Iterable[Route], name: str, version: str, tasks: Mapping[str, Schema]) -> str:
    """The whole page."""
    return "".join(_page(list(routes), name, version, tasks))


def _page(routes: list[Route], name: str, version: str, tasks: Mapping[str, Schema]) -> Iterator[str]:
    yield "<!doctype html><html lang=en><meta charset=utf-8>"
    yield "<meta name=viewport content='width=device-width, initial-scale=1'>"
    yield f"<title>{escape(name)}: HTTP API</title><style>{STYLE}</style>"
    yield f"<h1>{escape(name)}: HTTP API</h1><p>Penstock {escape(version)} · "
    yield "<a href=openapi.json>OpenAPI 3.1</a> · <a href='#tasks'>Tasks</a> · <a href='#objects'>Objects</a> · "
    yield "<a href='#problems'>Problems</a></p>"
    yield f"<pre>{escape(FIRST)}</pre>"
    yield "<h2 id=tasks>Your tasks</h2>" + ("" if tasks else "<p>No task is registered here or by a live worker.</p>")
    for task, schema in sorted(tasks.items()):
        yield from _task(task, schema)
    for tag, group in groupby(routes, key=lambda route: route.tag):
        yield f"<h2>{escape(tag)}</h2>"
        for route in group:
            yield from _route(route)
    yield "<h2 id=objects>Objects</h2>"
    for component, schema in COMPONENTS.items():
        yield f"<details id='{component}'><summary>{component}</summary>{_schema(schema)}</details>"
    yield from _problems(routes)


def _task(task: str, schema: Schema) -> Iterator[str]:
    yield f"<details><summary><span class='method post'>POST</span><code>/tasks/{escape(task)}</code></summary>"
    yield f"<p>{escape(schema.get('description', ''))}</p>"
    rows = [
        (parameter, _kind(each), "required" if parameter in schema.get("required", ()) else _default(each))
        for parameter, each in schema.get("properties", {}).items()
    ]
    yield _table(("argument", "type", ""), rows) if rows else "<p>No arguments.</p>"
    yield f"{_schema(schema)}</details>"


def _route(route: Route) -> Iterator[str]:
    method = route.method.lower()
    yield f"<details id='{method}{escape(route.path)}'><summary><span class='method {method}'>{route.method}</span>"
    yield f"<code>{escape(route.path)}</code> {escape(route.summary)}"
    yield "</summary>" if route.scope == "none" else f"<span class=scope>{route.scope}</span></summary>"
    yield f"<p>{_marked(route.description)}</p>" if route.description else ""
    if route.parameters:
        rows = [(each.name, f"{each.where}: {_parameter_kind(each)}", each.summary) for each in route.parameters]
        yield _table(("parameter", "", ""), rows)
    for kind, schema in route.body.types.items() if route.body else ():
        yield f"<p>Body: <code>{kind}</code></p>{_schema(schema)}"
    answers = [(str(status), each.description, _named(each.schema)) for status, each in route.responses.items()]
    refusals = [(str(status), title(status), "Problem") for status in route.refusals]
    yield _table(("status", "", ""), [*answers, *refusals]) + "</details>"


def _problems(routes: list[Route]) -> Iterator[str]:
    yield "<h2 id=problems>Problems</h2><p>Every error is <code>application/problem+json</code> (RFC 9457).</p>"
    statuses = sorted({405, *(status for route in routes for status in route.refusals)})
    found: list[Kind] = [kind for status in statuses for kind in kinds(status)]
    yield _table(("status", "type", ""), [(str(kind.status), PREFIX + kind.name, kind.title) for kind in found])


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    titles = "".join(f"<th>{escape(each)}" for each in head)
    lines = "".join(f"<tr><td><code>{escape(row[0])}</code>" + _cells(row[1:]) for row in rows)
    return f"<table><tr>{titles}{lines}</table>"


def _cells(texts: tuple[str, ...]) -> str:
    return "".join(f"<td>{_marked(text)}" for text in texts)


def _marked(text: str) -> str:
    """Text with `code` in it."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _schema(schema: Mapping[str, Any]) -> str:
    text = escape(json.dumps(schema, indent=2, ensure_ascii=False), quote=False)
    return f"<pre>{re.sub('#/components/schemas/([A-Za-z]+)', _link, text)}</pre>"


def _link(found: re.Match[str]) -> str:
    return f"<a href='#{found[1]}'>{found[1]}</a>"


def _named(schema: Mapping[str, Any] | None) -> str:
    return "" if schema is None else str(schema.get("$ref", "")).rpartition("/")[2]


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return _named(schema)
    kind = schema.get("type", schema.get("format", "any"))
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _parameter_kind(parameter: Parameter) -> str:
    words = parameter.schema.get("enum")
    return " | ".join(words) if words else _kind(parameter.schema)


def _default(schema: Mapping[str, Any]) -> str:
    return f"default: {json.dumps(schema['default'], ensure_ascii=False)}" if "default" in schema else ""
