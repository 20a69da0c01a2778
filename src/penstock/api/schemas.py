"""The JSON Schemas of what goes in and out, by name: the components of /openapi.json. Data only."""

from __future__ import annotations

from typing import Any

from penstock.api.parameters import LONGEST, NAME
from penstock.core.history import SPANS
from penstock.core.states import ALL

Schema = dict[str, Any]


def ref(name: str) -> Schema:
    """A reference to the component `name`."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(properties: dict[str, Schema], description: str = "", optional: tuple[str, ...] = ()) -> Schema:
    """An object with these properties, all but the `optional` ones always there."""
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        **({"description": description} if description else {}),
    }


def listing(item: Schema, **optional: Schema) -> Schema:
    """A page of a list."""
    cursor = {"type": ["string", "null"], "description": "give it as `cursor` for the next page; null at the end"}
    return record({"items": {"type": "array", "items": item}, "next": cursor, **optional}, optional=tuple(optional))


def nullable(kind: str, **more: Any) -> Schema:
    """A value that may be null."""
    return {"type": [kind, "null"], **more}


TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
YES_NO: Schema = {"type": "boolean"}
SECONDS: Schema = {"type": "number"}
TIME: Schema = {"type": "string", "format": "date-time"}
TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
ANY: Schema = {}
STATUS: Schema = {"type": "string", "enum": sorted(ALL)}

_REACHED: Schema = {
    **TIME,
    "description": "where it leads on before the end: it has looked at all tasks down to one that was created then",
}
_SUMMARY: dict[str, Schema] = {
    "task_id": TEXT,
    "task": {"type": "string", "description": "the task's name"},
    "status": ref("Status"),
    "queue": TEXT,
    "priority": {"type": "integer"},
    "retries": COUNT,
    "worker": nullable("string", description="the worker that ran it last"),
    "created_at": TIME_OR_NULL,
    "eta": TIME_OR_NULL,
    "expires": TIME_OR_NULL,
    "started_at": TIME_OR_NULL,
    "finished_at": TIME_OR_NULL,
    "runtime": nullable("number", description="seconds of the last run"),
    "time_limit": nullable("number"),
    "soft_time_limit": nullable("number"),
    "deliveries": {**COUNT, "description": "runs of the present attempt that are known to have begun"},
    "generation": {**COUNT, "description": "how often the task was retried through the API"},
    "cancelling": {**YES_NO, "description": "it is to be cancelled, and its owner has not answered yet"},
    "parent_id": nullable("string", description="the task that submitted this one"),
    "root_id": nullable("string"),
}
_VALUES: dict[str, Schema] = {
    "args": {"type": ["array", "null"]},
    "kwargs": {"type": ["object", "null"]},
    "result": {"description": "SUCCESS: the value. FAILURE, RETRY, REVOKED: the exception: exc_type, exc_message, …"},
    "progress": {"description": "the last report of a running task: fraction, message"},
}
_DELAY: Schema = {"minimum": -LONGEST, "maximum": LONGEST}
_LIMIT: Schema = {"exclusiveMinimum": 0, "maximum": LONGEST}
_NAME: Schema = {word: NAME[word] for word in ("minLength", "maxLength", "pattern")}

#: Options of a submission (core.task.SubmitOptions says more about each).
_OPTIONS: dict[str, Schema] = {
    "task_id": nullable("string", **_NAME, description="an id of your own; 409 if it exists"),
    "queue": nullable("string", **_NAME, description="another queue than the task's own"),
    "priority": nullable("integer", minimum=0, maximum=9, description="higher is sooner"),
    "countdown": nullable("number", **_DELAY, description="start in so many seconds"),
    "eta": nullable("string", format="date-time", description="start at this time"),
    "expires": {
        "anyOf": [nullable("number", **_DELAY), {"type": "string", "format": "date-time"}],
        "description": "do not start any more after so many seconds, or after this time",
    },
    "time_limit": nullable("number", **_LIMIT, description="seconds after which it is stopped for good"),
    "soft_time_limit": nullable("number", **_LIMIT, description="seconds after which it is told to stop"),
    "ignore_result": nullable("boolean", description="keep the record, drop the value"),
    "retries": {**COUNT, "maximum": 2**31, "description": "count so many retries as made already"},
    "headers": {"type": "object", "description": "headers of your own for the message"},
    "shadow": nullable("string", **_NAME, description="a name to show instead of the task's"),
    "reply_to": nullable("string", description="a queue that gets the result too"),
}
_ATTEMPT = record(
    {
        "number": {"type": "integer", "minimum": 1},
        "status": {"type": "string", "enum": [*sorted(ALL), "LOST"], "description": "LOST: its process died"},
        "worker": nullable("string"),
        "pid": nullable("integer"),
        "started_at": TIME_OR_NULL,
        "finished_at": TIME_OR_NULL,
        "runtime": nullable("number"),
        "error": {"description": "the exception of a run that failed"},
        "traceback": nullable("string"),
    }
)
_FAULT = record({"field": TEXT, "message": TEXT})
_LETTER: dict[str, Schema] = {
    "id": TEXT,
    "queue": TEXT,
    "reason": TEXT,
    "detail": TEXT,
    "task_id": nullable("string"),
    "task": nullable("string"),
    "deliveries": COUNT,
    "died_at": TIME_OR_NULL,
    "size": {**COUNT, "description": "bytes of the message's body"},
}

_MEASURES: dict[str, Schema] = {
    **{state: {**COUNT, "description": "runs that ended so"} for state in ("success", "failure", "retry", "revoked")},
    **{name: nullable("number", description="seconds; null without runs") for name in ("p50", "p95", "p99")},
}
_DEPTHS: Schema = {
    "type": "object",
    "additionalProperties": record({"ready": COUNT, "oldest": SECONDS}, "ready messages, and the age of the oldest"),
}

_CHILD = record(
    {
        "pid": {"type": "integer"},
        "lease": TEXT,
        "processed": COUNT,
        "resident": {**COUNT, "description": "bytes of memory"},
        "cpu": nullable("number", description="share of one core since the report before"),
        "running": {
            "type": "array",
            "items": record({"task_id": TEXT, "task": TEXT, "started_at": SECONDS, "deliveries": COUNT}),
            "description": "what it runs now, at most 100 of it; `started_at` in unix seconds",
        },
    },
    "one of its processes",
    ("lease", "processed", "resident", "cpu", "running"),
)

COMPONENTS: dict[str, Schema] = {
    "Status": STATUS,
    "Problem": record(
        {
            "type": TEXT,
            "title": TEXT,
            "status": {"type": "integer"},
            "detail": TEXT,
            "errors": {"type": "array", "items": _FAULT, "description": "what is wrong with which field"},
            "near": {"type": "array", "items": TEXT, "description": "names that are similar to the one not found"},
            "index": {**COUNT, "description": "the item of an array that is at fault, from 0"},
            "state": {"type": "string", "description": "the state that was found"},
        },
        "RFC 9457",
        ("errors", "near", "index", "state"),
    ),
    "Submission": {
        "type": "object",
        "properties": {
            "task": {"type": "string", "minLength": 1, "description": "the task's name"},
            "args": {"type": "array", "description": "arguments by position"},
            "kwargs": {"type": "object", "description": "arguments by name"},
            **_OPTIONS,
        },
        "required": ["task"],
        "additionalProperties": False,
    },
    "Submissions": {"type": "array", "items": ref("Submission"), "maxItems": 10_000},
    "Accepted": record({"task_id": TEXT, "status": STATUS}),
    "AcceptedMany": record({"items": {"type": "array", "items": ref("Accepted")}}),
    "Task": record(
        {
            **_SUMMARY,
            **_VALUES,
            "traceback": nullable("string"),
            "children": {"type": "array", "items": TEXT, "description": "ids of tasks that this one submitted"},
            "attempts": {"type": "array", "items": _ATTEMPT, "description": "every run, oldest first"},
        }
    ),
    "TaskItem": record(
        {
            **_SUMMARY,
            **_VALUES,
            "omitted": {"type": "array", "items": TEXT, "description": "values too long for a list, shown as null"},
        }
    ),
    "TaskPage": listing(ref("TaskItem"), reached=_REACHED),
    "LogLine": record(
        {
            "at": TIME,
            "level": {"type": "string", "description": "debug, info, warning, error, critical, or one of its own"},
            "logger": {"type": "string", "description": "the logger's name; `penstock.output` for what is printed"},
            "text": {"type": "string", "description": "the message, with its traceback; very long ones are cut"},
            "attempt": {"type": "integer", "minimum": 1},
        }
    ),
    "LogPage": listing(ref("LogLine")),
    "Change": record(
        {
            "task_id": TEXT,
            "task": {"type": "string", "description": "the task's name"},
            "queue": TEXT,
            "worker": nullable("string"),
            "at": TIME,
            "status": ref("Status"),
            "progress": {"description": "what the task reported: fraction, message"},
        },
        "What happened to a task: it has a status, or reports progress, or (neither is there) has new log lines",
        ("status", "progress"),
    ),
    "Event": record(
        {
            "id": {"type": "string", "pattern": "^[0-9]+$", "description": "for `Last-Event-ID`"},
            "event": {"type": "string", "enum": ["state", "progress", "log"]},
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": ref("Change")},
        },
        "A server-sent event (WHATWG HTML §9.2)",
    ),
    "DigestEvent": record(
        {
            "id": {"type": "string", "pattern": "^[0-9]+$", "description": "for `Last-Event-ID`"},
            "event": {"const": "changed"},
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": record({"changes": {**COUNT, "description": "so many since the event before"}}),
            },
        },
        "A server-sent event (WHATWG HTML §9.2)",
    ),
    "Matched": record(
        {
            "matched": {**COUNT, "description": "how many match the filter (counting stops at a million)"},
            "done": {**COUNT, "description": "how many were dealt with by this call, at most 10,000; 0 with dry_run"},
            "left": {**COUNT, "description": "how many are left for the next call"},
            "next": {
                "type": ["string", "null"],
                "description": "only with `quick`: give it as `cursor` to go on counting; null at the end",
            },
            "reached": _REACHED,
            "dry_run": YES_NO,
        },
        optional=("next", "reached"),
    ),
    "Queue": record(
        {
            "name": TEXT,
            "ready": {**COUNT, "description": "can be delivered now"},
            "delayed": {**COUNT, "description": "wait for their time"},
            "claimed": {**COUNT, "description": "are with workers"},
            "paused": YES_NO,
            "oldest": {**TIME_OR_NULL, "description": "when the oldest ready message was published"},
            "workers": {**COUNT, "description": "live workers that take from it"},
        }
    ),
    "QueuePage": listing(ref("Queue")),
    "Paused": record({"name": TEXT, "paused": YES_NO}),
    "Purged": record({"name": TEXT, "purged": COUNT}),
    "Published": record({"queue": TEXT, "size": COUNT}),
    "Worker": record(
        {
            "name": TEXT,
            "host": TEXT,
            "pid": {"type": "integer"},
            "version": TEXT,
            "started_at": TIME_OR_NULL,
            "seen_at": TIME_OR_NULL,
            "queues": {"type": "array", "items": TEXT},
            "tasks": {"type": "array", "items": TEXT},
            "processes": COUNT,
            "threads": COUNT,
            "concurrency": COUNT,
            "status": record(
                {
                    "children": {"type": "array", "items": _CHILD},
                    "processed": {**COUNT, "description": "runs, by the processes that are there now"},
                },
                "its last report; another version's may say less or more",
                ("children", "processed"),
            ),
        }
    ),
    "WorkerPage": listing(ref("Worker")),
    "WorkerAnswer": record({"worker": TEXT, "answer": ANY}),
    "DeadLetter": record(_LETTER),
    "DeadLetterWhole": record(
        {
            **_LETTER,
            "headers": {"type": "object"},
            "properties": {"type": "object"},
            "body": TEXT,
            "body_encoding": {"type": "string", "enum": ["utf-8", "base64"]},
        }
    ),
    "DeadLetterPage": listing(ref("DeadLetter")),
    "Replayed": record({"id": TEXT, "queue": TEXT, "task_id": nullable("string")}),
    "Schedule": record(
        {
            "name": TEXT,
            "app": TEXT,
            "task": TEXT,
            "args": {"type": "array"},
            "kwargs": {"type": "object"},
            "cron": nullable("string"),
            "every": nullable("number", description="seconds"),
            "timezone": TEXT,
            "missed": TEXT,
            "options": {"type": "object"},
            "paused": YES_NO,
            "next_due": TIME_OR_NULL,
            "last_due": TIME_OR_NULL,
            "last_task_id": nullable("string"),
            "fired": COUNT,
        }
    ),
    "SchedulePatch": {**record({"paused": YES_NO}), "additionalProperties": False},
    "SchedulePage": listing(ref("Schedule")),
    "Stats": record(
        {
            "span": {"type": "string", "enum": list(SPANS)},
            "step": {**COUNT, "description": "seconds of an item"},
            "items": {"type": "array", "items": record({"at": TIME, **_MEASURES, "queues": _DEPTHS})},
            "whole": record(_MEASURES),
        }
    ),
    "Live": record({"status": {"const": "live"}}),
    "Ready": record({"status": {"const": "ready"}, "checks": {"type": "object", "additionalProperties": TEXT}}),
}
