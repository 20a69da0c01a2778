"""What `penstock dev` shows of an app, found in a process of its own: `python -m penstock.cli.example APP`.

That process is the first to import the app, so a fault in it is told once, before anything is started or replaced.
Prints one JSON object: `database` (the broker's URL as it may be shown), `tasks` (names), `body` (of a POST /tasks to
try, null if no task has arguments that can be made up).
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

from penstock.cli.app_path import AppPath
from penstock.cli.program import guarded
from penstock.client.app import Penstock
from penstock.client.loader import load_app
from penstock.core.url import absolute, redact

#: A value to try for a parameter of each JSON type.
SAMPLES: dict[str, Any] = {"integer": 2, "number": 0.5, "string": "text", "boolean": True, "array": [], "object": {}}


def described(app: Penstock) -> dict[str, Any]:
    """The object that is printed."""
    return {
        "database": redact(absolute(app.settings.broker_url)),
        "tasks": sorted(app.tasks),
        "body": body(app),
    }


def body(app: Penstock) -> dict[str, Any] | None:
    """A submission of the first task whose required arguments are all of simple types."""
    for name, task in app.tasks.items():
        arguments = sample(task.arguments.schema())
        if arguments is not None:
            return {"task": name, "args": arguments} if arguments else {"task": name}
    return None


def sample(schema: Mapping[str, Any]) -> list[Any] | None:
    """Values for the required parameters of a signature, in order: 2, 3, … where integers are wanted."""
    values: list[Any] = []
    for name in schema.get("required", ()):
        kind = schema["properties"][name].get("type")
        if kind not in SAMPLES:
            return None
        values.append(SAMPLES[kind] + len(values) if kind == "integer" else SAMPLES[kind])
    return values


def main(arguments: list[str]) -> None:
    app = load_app(AppPath().convert(arguments[0], None, None))
    asyncio.run(reach(app))
    print(json.dumps(described(app)))


async def reach(app: Penstock) -> None:
    """Open and close the back ends, so that an unusable database is told once, too."""
    async with app.backends():
        pass


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1:])))
