"""The table of all routes. What stands here is served, documented, described in /openapi.json and needs its scope."""

from __future__ import annotations

from dataclasses import replace

from penstock.api import dead, documents, events, health, metrics, queues, schedules, stats, submit, tasks, workers
from penstock.api.idempotency import LONGEST as LONGEST_KEY
from penstock.api.idempotency import key_of
from penstock.api.parameters import (
    choice,
    flag,
    header,
    in_path,
    integer,
    moment,
    name_in_path,
    name_text,
    seconds,
    seconds_or_time,
    text,
    time_text,
)
from penstock.api.prefer import LONGEST as LONGEST_WAIT
from penstock.api.prefer import wait_of
from penstock.api.route import Body, Link, Parameter, Response, Route
from penstock.api.schemas import ref
from penstock.core import cursor, search
from penstock.core.history import SPANS
from penstock.core.states import ALL

JSON = "application/json"
STATES = sorted(ALL)

TASK_ID = in_path("task", "the task's id")
QUEUE = name_in_path("name", "the queue's name")
LETTER_ID = in_path("letter_id", "the dead letter's id")
WORKER = in_path("name", "the worker's name, as /workers lists it")
TIMEOUT = integer("timeout", "seconds to wait for the answer", 1, 30, default=5)
SCHEDULE = in_path("name", "the schedule's name")

LIMIT = integer("limit", "how many items a page has", 1, 1000, default=50)
LAST_LINES = integer("limit", "how many of the last lines", 1, 10_000, default=1000)
CURSOR = Parameter(
    "cursor", "query", {"type": "string", "pattern": cursor.PATTERN}, "`next` of the page before", cursor.checked
)
FILTER = (
    choice("status", "only tasks in this state; may be given several times", STATES, many=True),
    text("task", "only tasks of this name; may be given several times", many=True),
    text("queue", "only tasks of this queue; may be given several times", many=True),
    text("worker", "only tasks that this worker ran last; may be given several times", many=True),
    text("q", "only tasks with this text in their arguments, result or id"),
    moment("since", "only tasks created at this time or after"),
    moment("until", "only tasks created before this time"),
)
DRY_RUN = flag("dry_run", "count what matches, and change nothing")
QUICK = flag(
    "quick",
    "with `dry_run`: count for a moment and no longer; `next` tells where to go on counting",
)
COUNTED_TO = replace(CURSOR, summary="with `quick`: `next` of the count so far; the sum of all is the number")
ALL_OF_THEM = flag("all", "needed where no filter is given: everything is meant; without it that is a dry run")
EXPECT = integer("expect", "how many must match; if it is another number now, nothing is done and the answer is 409",
                 0, 1_000_000)  # fmt: skip
AS_OF = moment("as_of", "when they were counted: what has come to match at this time or later is left alone")
SPAN = replace(choice("span", "how far back: an hour in minutes, a day in ten minutes, a week in hours", list(SPANS)),
               default="1h")  # fmt: skip
TERMINATE = flag("terminate", "stop it even if it runs already")
LETTER_FILTER = (text("queue", "only letters from this queue"), text("reason", "only letters with this reason"))

PREFER = header(
    "Prefer",
    f"`wait=N`: wait up to N seconds (at most {LONGEST_WAIT:g}) for the task to end, and answer 200 with it (RFC 7240)",
    {"type": "string"},
    wait_of,
    lines=True,
)
IDEMPOTENCY_KEY = header(
    "Idempotency-Key",
    "the same key with the same request queues once, within a day; 409 while the first is being processed, "
    "422 for a different request",
    {"type": "string", "maxLength": LONGEST_KEY, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    key_of,
)


def _event_id(given: str) -> int:
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        raise ValueError("must be the id of an event")
    return int(given)


LAST_EVENT_ID = header(
    "Last-Event-ID",
    "resume after this event; browsers send it by themselves",
    {"type": "string", "pattern": "^[0-9]{1,18}$"},
    _event_id,
)

#: Options of a submission that make sense in a query; the others need POST /tasks.
OPTIONS: tuple[Parameter, ...] = (
    name_text("task_id", "an id of your own; 409 if it exists"),
    name_text("queue", "another queue than the task's own"),
    integer("priority", "0 to 9, higher is sooner", 0, 9),
    seconds("countdown", "start in so many seconds", zero=True),
    time_text("eta", "start at this time"),
    seconds_or_time("expires", "do not start any more after so many seconds, or after this time"),
    seconds("time_limit", "seconds after which it is stopped for good", zero=False),
    seconds("soft_time_limit", "seconds after which it is told to stop", zero=False),
    flag("ignore_result", "keep no result, only the record", default=None),
    integer("retries", "count so many retries as made already", 0, 2**31),
)


TO_TASK = (
    Link("GET", "/tasks/{task}", "task", "/task_id"),
    Link("GET", "/tasks/{task}/logs", "task", "/task_id"),
    Link("DELETE", "/tasks/{task}", "task", "/task_id"),
    Link("POST", "/tasks/{task}/retry", "task", "/task_id"),
)
PAGE_OF_TASKS = Response("A page of tasks, newest first", ref("TaskPage"))
TASK = Response("The task", ref("Task"))
LOCATION = {"Location": "where the task is to be seen"}
ACCEPTED = Response("Accepted: recorded and queued, durably", ref("Accepted"), headers=LOCATION, links=TO_TASK)
ENDED_IN_TIME = Response(
    "With `Prefer: wait=N`: the task ended in time",
    ref("Task"),
    headers={"Preference-Applied": "`wait`", **LOCATION},
)
PAGE_OF_LETTERS = Response("A page of dead letters, newest first", ref("DeadLetterPage"))
EVERY_WORKER = Response(
    "Every live worker",
    ref("WorkerPage"),
    links=tuple(Link("POST", f"/workers/{{name}}/{ask}", "name", "/items/0/name") for ask in ("ping", "stacks")),
)
ANSWER = Response("What the worker answered", ref("WorkerAnswer"))
SHOWN = Response("The schedule", ref("Schedule"))
MATCHED = Response("How many matched and were dealt with", ref("Matched"))
STREAM = Response(
    "Events `state`, `progress` and `log`, as they happen: here what one is", ref("Event"), "text/event-stream"
)

DIGEST = Response("Events `changed`: here what one is", ref("DigestEvent"), "text/event-stream")

SUBMITTING: tuple[Route, ...] = (
    Route(
        "POST", "/tasks", submit.by_body, "submit", "Submit", "Queue a task, or many",
        responses={
            200: ENDED_IN_TIME,
            202: Response(
                "Accepted: recorded and queued, durably",
                {"anyOf": [ref("Accepted"), ref("AcceptedMany")]},
                headers={"Location": "where the task is to be seen; not for many"},
            ),
        },
        description=(
            "An object queues one task. An array, or NDJSON with an object on each line, queues at most "
            f"{submit.MOST} tasks in one go: every item is validated before any is queued, and the first one that is "
            "wrong is named by its index."
        ),
        parameters=(PREFER, IDEMPOTENCY_KEY),
        body=Body({
            JSON: {"anyOf": [ref("Submission"), ref("Submissions")]},
            submit.NDJSON: {"type": "string", "description": "one Submission on each line"},
        }),
        problems=(404, 409, 422),
    ),
    Route(
        "POST", "/tasks/{task}", submit.by_name, "submit", "Submit", "Queue a task by its name",
        responses={200: ENDED_IN_TIME, 202: ACCEPTED},
        description="The body is the arguments by name; no body means no arguments. Options are query parameters.",
        parameters=(in_path("task", "the task's name"), *OPTIONS, PREFER, IDEMPOTENCY_KEY),
        body=Body({JSON: {"type": "object"}}, required=False),
        problems=(404, 409, 422),
    ),
)  # fmt: skip

TASKS: tuple[Route, ...] = (
    Route(
        "GET", "/tasks", tasks.page, "read", "Tasks", "List tasks",
        responses={200: PAGE_OF_TASKS},
        description=(
            "Newest first. A walk by cursor sees each task once, while others arrive. A filter looks at "
            f"{search.FAR:,} tasks of the wanted states at once, with `q` at {search.AT_ONCE:,} of any, and answers "
            "what it has found: go on with `next` until it is null, also from a page that is not full, even empty. "
            "`reached` tells how far back it has looked."
        ),
        parameters=(*FILTER, LIMIT, CURSOR),
    ),
    Route(
        "GET", "/tasks/{task}", tasks.get, "read", "Tasks", "Look at a task",
        responses={200: TASK}, parameters=(TASK_ID,), problems=(404,),
    ),
    Route(
        "DELETE", "/tasks/{task}", tasks.cancel, "operate", "Tasks", "Cancel a task",
        responses={
            200: Response("It is cancelled, and will never start", ref("Task")),
            202: Response("Its worker was told; it ends as REVOKED, or as it would have ended", ref("Task")),
        },
        description="A task that runs already needs `terminate=true`; one that has ended is a 409.",
        parameters=(TASK_ID, TERMINATE), problems=(404, 409),
    ),
    Route(
        "POST", "/tasks/{task}/retry", tasks.retry, "operate", "Tasks", "Run an ended task again",
        responses={202: ACCEPTED},
        description="Under the same id, from FAILURE or REVOKED; its earlier run stays among the attempts.",
        parameters=(TASK_ID,), problems=(404, 409),
    ),
    Route(
        "POST", "/tasks/cancel", tasks.cancel_many, "operate", "Tasks", "Cancel tasks by filter",
        responses={200: MATCHED}, problems=(409,),
        parameters=(*FILTER, TERMINATE, DRY_RUN, QUICK, COUNTED_TO, ALL_OF_THEM, EXPECT, AS_OF),
        description="Those that have not ended. Running ones are passed over unless `terminate=true`.",
    ),
    Route(
        "POST", "/tasks/retry", tasks.retry_many, "operate", "Tasks", "Run ended tasks again by filter",
        responses={200: MATCHED}, parameters=(*FILTER, DRY_RUN, QUICK, COUNTED_TO, ALL_OF_THEM, EXPECT, AS_OF),
        problems=(409,),
        description="Those that ended in FAILURE or REVOKED.",
    ),
    Route(
        "GET", "/tasks/{task}/logs", tasks.logs, "read", "Tasks", "Read what a task logged",
        responses={200: Response("The last lines, oldest first", ref("LogPage"))},
        description=(
            "What its runs logged and printed, on whatever worker: as much as `PENSTOCK_TASK_LOG` has room for, kept "
            "as long as the task is. A running task's lines come within about a second, and its events tell of them."
        ),
        parameters=(TASK_ID, LAST_LINES), problems=(404,),
    ),
    Route(
        "GET", "/tasks/{task}/events", events.of_task, "read", "Events", "Watch a task",
        responses={200: STREAM, 204: Response("It has ended, and the client has seen it: nothing more will come")},
        description="Server-sent events. The first tells how the task stands; the stream ends with the task.",
        parameters=(TASK_ID, LAST_EVENT_ID), problems=(404,),
    ),
    Route(
        "GET", "/events", events.of_all, "read", "Events", "Watch all tasks",
        responses={200: STREAM},
        description="Server-sent events. A client that does not keep up is cut, and can resume with `Last-Event-ID`.",
        parameters=(
            choice("status", "only this state (PROGRESS: progress reports, LOG: new log lines); may be given several "
                   "times", [*STATES, "PROGRESS", "LOG"], many=True),
            *FILTER[1:4],
            LAST_EVENT_ID,
        ),
    ),
    Route(
        "GET", "/events/digest", events.digest, "read", "Events", "Hear that something changed",
        responses={200: DIGEST},
        description=(
            "Server-sent events `changed`, at most one a second however much happens. For pages that show how things "
            "stand: the first comes at once, or with `Last-Event-ID` when there is news since."
        ),
        parameters=(LAST_EVENT_ID,),
    ),
)  # fmt: skip

QUEUES: tuple[Route, ...] = (
    Route(
        "GET", "/queues", queues.listing, "read", "Queues", "List queues",
        responses={200: Response("Every queue", ref("QueuePage"))},
    ),
    Route(
        "POST", "/queues/{name}/pause", queues.pause, "operate", "Queues", "Stop deliveries of a queue",
        responses={200: Response("It is paused", ref("Paused"))}, parameters=(QUEUE,),
        description="Durably, for every worker. What workers have already goes on.",
    ),
    Route(
        "POST", "/queues/{name}/resume", queues.resume, "operate", "Queues", "Let a queue be delivered again",
        responses={200: Response("It is delivered", ref("Paused"))}, parameters=(QUEUE,),
    ),
    Route(
        "POST", "/queues/{name}/purge", queues.purge, "operate", "Queues", "Remove all waiting messages of a queue",
        responses={200: Response("How many were removed", ref("Purged"))}, parameters=(QUEUE,),
        description="Each task that is known ends as REVOKED.",
    ),
    Route(
        "POST", "/queues/{name}/messages", queues.publish, "submit", "Queues", "Put a raw message into a queue",
        responses={202: Response("It is in the queue, durably", ref("Published"))},
        description="For programs that read the queue with `penstock consume`; it is no task and has no record.",
        parameters=(QUEUE, integer("priority", "0 to 9, higher is sooner", 0, 9, default=0)),
        body=Body({"application/octet-stream": {"type": "string", "format": "binary"}}, required=False, raw=True),
    ),
)  # fmt: skip

DEAD: tuple[Route, ...] = (
    Route(
        "GET", "/dead", dead.page, "read", "Dead letters", "List dead letters",
        responses={200: PAGE_OF_LETTERS},
        parameters=(*LETTER_FILTER, LIMIT, CURSOR),
    ),
    Route(
        "GET", "/dead/{letter_id}", dead.get, "read", "Dead letters", "Look at a dead letter",
        responses={200: Response("The letter with its message", ref("DeadLetterWhole"))},
        parameters=(LETTER_ID,), problems=(404,),
    ),
    Route(
        "DELETE", "/dead/{letter_id}", dead.discard, "operate", "Dead letters", "Throw a dead letter away",
        responses={204: Response("It is gone")}, parameters=(LETTER_ID,), problems=(404,),
    ),
    Route(
        "POST", "/dead/{letter_id}/replay", dead.replay, "operate", "Dead letters", "Queue a dead letter again",
        responses={202: Response("It is queued", ref("Replayed"))},
        description="A task that has a record is run again as POST /tasks/{task}/retry would.",
        parameters=(LETTER_ID,), problems=(404, 409),
    ),
    Route(
        "POST", "/dead/replay", dead.replay_many, "operate", "Dead letters", "Queue dead letters again by filter",
        responses={200: MATCHED}, parameters=(*LETTER_FILTER, DRY_RUN, ALL_OF_THEM, EXPECT, AS_OF), problems=(409,),
    ),
    Route(
        "POST", "/dead/discard", dead.discard_many, "operate", "Dead letters", "Throw dead letters away by filter",
        responses={200: MATCHED}, parameters=(*LETTER_FILTER, DRY_RUN, ALL_OF_THEM, EXPECT, AS_OF), problems=(409,),
    ),
)  # fmt: skip

WORKERS: tuple[Route, ...] = (
    Route(
        "GET", "/workers", workers.listing, "read", "Workers", "List live workers",
        responses={200: EVERY_WORKER},
    ),
    Route(
        "POST", "/workers/{name}/ping", workers.ping, "operate", "Workers", "Does a worker answer?",
        responses={200: ANSWER}, parameters=(WORKER, TIMEOUT), problems=(404, 504),
    ),
    Route(
        "POST", "/workers/{name}/stacks", workers.stacks, "operate", "Workers", "What is a worker doing?",
        responses={200: ANSWER}, parameters=(WORKER, TIMEOUT), problems=(404, 504),
        description="The stacks of all its processes, as text.",
    ),
    Route(
        "POST", "/workers/{name}/shutdown", workers.shutdown, "operate", "Workers", "End a worker",
        responses={202: ANSWER}, parameters=(WORKER, TIMEOUT), problems=(404, 504),
        description="As SIGTERM does: running tasks may finish within the grace, the rest is handed back.",
    ),
)  # fmt: skip

SCHEDULES: tuple[Route, ...] = (
    Route(
        "GET", "/schedules", schedules.listing, "read", "Schedules", "List schedules",
        responses={200: Response("Every schedule", ref("SchedulePage"))},
    ),
    Route(
        "GET", "/schedules/{name}", schedules.get, "read", "Schedules", "Look at a schedule",
        responses={200: SHOWN}, parameters=(SCHEDULE,), problems=(404,),
    ),
    Route(
        "PATCH", "/schedules/{name}", schedules.change, "operate", "Schedules", "Pause or resume a schedule",
        responses={200: SHOWN}, parameters=(SCHEDULE,), problems=(404, 422),
        body=Body({JSON: ref("SchedulePatch")}),
        description="One that is resumed is due next as if it were new.",
    ),
    Route(
        "POST", "/schedules/{name}/run", schedules.run, "operate", "Schedules", "Run a schedule's task now",
        responses={200: ENDED_IN_TIME, 202: ACCEPTED}, parameters=(SCHEDULE, PREFER), problems=(404, 422),
        description="Besides its due times, which stay as they are.",
    ),
)  # fmt: skip

SERVER: tuple[Route, ...] = (
    Route(
        "GET", "/health/live", health.live, "none", "Server", "Is the process alive?",
        responses={200: Response("The event loop answers", ref("Live"))}, backed=False,
    ),
    Route(
        "GET", "/health/ready", health.ready, "none", "Server", "Can it take requests?",
        responses={200: Response("Broker and result backend answered within two seconds", ref("Ready"))},
    ),
    Route(
        "GET", "/metrics", metrics.get, "read", "Server", "Metrics for Prometheus",
        responses={200: Response("Metrics in the text format", {"type": "string"}, "text/plain")},
        backed=False,
    ),
    Route(
        "GET", "/stats", stats.get, "read", "Server", "What happened over time",
        responses={200: Response("Roll-ups, oldest first; the last is not over yet", ref("Stats"))},
        parameters=(SPAN,),
        description=(
            "Runs that ended, percentiles of their times (to within a fifth), and how full queues were at most. What "
            "workers record; it comes some seconds late, and what a killed process had not told is missing."
        ),
    ),
    Route(
        "GET", "/openapi.json", documents.openapi, "read", "Server", "This API, as OpenAPI 3.1",
        responses={200: Response("The description", {"type": "object"})},
    ),
    Route(
        "GET", "/docs", documents.page, "read", "Server", "This API, for people",
        responses={200: Response("A page", {"type": "string"}, "text/html")},
    ),
    Route(
        "GET", "/", documents.home, "none", "Server", "Leads to the dashboard",
        responses={307: Response("To /ui, or /docs without a dashboard", headers={"Location": "/ui or /docs"})},
        backed=False,
    ),
)  # fmt: skip

ROUTES: tuple[Route, ...] = (*SUBMITTING, *TASKS, *QUEUES, *DEAD, *WORKERS, *SCHEDULES, *SERVER)
