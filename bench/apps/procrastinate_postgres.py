"""Procrastinate in the schema that the environment names."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import Any

import psycopg
from procrastinate import App, PsycopgConnector

from bench.apps import work

_URL, _SCHEMA = os.environ["BENCH_URL"], os.environ["BENCH_SCHEMA"]
_PLACE = {"conninfo": _URL, "kwargs": {"options": f"-c search_path={_SCHEMA}"}}

_PARAMETERS = {"add": ("x", "y"), "mark": ("number",)}

app = App(connector=PsycopgConnector(**_PLACE))


@app.task(name="add")
def add(x: int, y: int) -> int:
    return work.add(x, y)


@app.task(name="mark")
def mark(number: int) -> int:
    return work.mark(number)


@cache
def _opened() -> Any:
    return app.open()  # for calls that do not await


def ready(_count: int, _task: str, _args: Sequence[Any]) -> None:
    """Make the schema where it is missing."""
    with psycopg.connect(_URL, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [_SCHEMA]).fetchone()
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
    if not known:
        _opened().schema_manager.apply_schema()


def send(task: str, *args: Any) -> None:
    _opened().tasks[task].defer(**dict(zip(_PARAMETERS[task], args, strict=True)))
