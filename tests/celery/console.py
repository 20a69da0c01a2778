"""Real Celery on the other side of a pipe: each line is a piece of Python to run, each answer a line of JSON.

Runs in an environment of its own, which has Celery and not Penstock. What the code sees: `app`, a Celery app on the
`broker` and result `backend` that the line names, `app_of` to make others; `it`, the line's own value; the modules
`celery`, `kombu` and `time`; the names it has made before.
"""

from __future__ import annotations

import ast
import json
import sys
import time
import traceback
from typing import Any

import celery
import kombu
import kombu.serialization

kombu.serialization.enable_insecure_serializers(["pickle", "yaml"])  # to send them; Celery itself does not accept them

apps: dict[tuple[str, str, str], celery.Celery] = {}
names: dict[str, Any] = {"celery": celery, "kombu": kombu, "time": time}


def nothing(*args: Any, **kwargs: Any) -> None:
    """What the client knows of the tasks."""


def app_of(broker: str, backend: str, conf: dict[str, Any]) -> celery.Celery:
    key = (broker, backend, json.dumps(conf, sort_keys=True))
    if key not in apps:
        made = celery.Celery("tasks", broker=broker, backend=backend, set_as_current=False)
        made.conf.update(conf)
        for name in ("add", "echo", "seen"):
            made.task(nothing, name=f"tasks.{name}")
        apps[key] = made
    return apps[key]


def run(code: str) -> Any:
    """Run statements; the value is that of the last one, if it is an expression."""
    tree = ast.parse(code)
    last = tree.body[-1]
    if isinstance(last, ast.Expr):
        tree.body[-1] = ast.copy_location(ast.Assign([ast.Name("_", ast.Store())], last.value), last)
    names["_"] = None
    exec(compile(ast.fix_missing_locations(tree), "<test>", "exec"), names)  # noqa: S102 - it is the tests' own code
    return names["_"]


for line in sys.stdin:
    order = json.loads(line)
    try:
        names["app"] = app_of(order["broker"], order["backend"], order["conf"])
        names |= {"app_of": app_of, "it": order["it"], "broker": order["broker"], "backend": order["backend"]}
        answer = {"value": run(order["code"])}
    except BaseException as error:
        answer = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
    sys.stdout.write(json.dumps(answer, default=repr) + "\n")
    sys.stdout.flush()
