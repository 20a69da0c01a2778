"""POST /tasks and POST /tasks/{task}: one task or many, once or again, waited for or not."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from penstock.api import problems, show
from penstock.api.answer import Answer, accepted, ok
from penstock.api.call import Call
from penstock.api.idempotency import Idempotency, request_hash
from penstock.api.orders import Order, order_of, prepared
from penstock.api.prefer import APPLIED, ended
from penstock.api.problems import Headers, Problem, problem_of
from penstock.api.site import Site
from penstock.client import bulk
from penstock.client.submit import Submission
from penstock.core.errors import PenstockError, TaskIdTaken
from penstock.core.ids import new_id
from penstock.core.states import PENDING

NDJSON = "application/x-ndjson"
MOST = 10_000  # items of one request


async def by_body(call: Call) -> Answer:
    """POST /tasks: an object, or an array of objects, or one on each line."""
    body = await call.body()
    if call.content_type == NDJSON:
        return await _submit_many(call, body, _lines(call, body))
    content = call.decoded(body)
    if isinstance(content, list):
        return await _submit_many(call, body, content)
    return await _submit_one(call, body, order_of(content))


async def by_name(call: Call) -> Answer:
    """POST /tasks/{task}: the body is the arguments by name, the query has the options."""
    body = await call.body()
    arguments = call.decoded(body) if body else {}
    if not isinstance(arguments, dict):
        raise Problem(problems.INVALID_ARGUMENTS, 'the arguments are expected by name, in an object: {"x": 2, "y": 3}')
    options = {name: call[name] for name in call.route.query if call[name] is not None}
    return await _submit_one(call, body, Order(call["task"], [], arguments, options, by_name=True))


async def submitted(call: Call, order: Order) -> Answer:
    """Queue one task and say so."""
    submission = await prepared(call.site, order)
    await call.site.submitter.submit([submission])
    return await _told(call, submission.record.task_id)


async def _submit_one(call: Call, body: bytes, order: Order) -> Answer:
    if call["Idempotency-Key"] is None:
        return await submitted(call, order)
    (task_id,) = await _once(call, body, [order], many=False)
    return await _told(call, task_id)


async def _told(call: Call, task_id: str) -> Answer:
    """202, or 200 with the record if the task ends as soon as the caller would like."""
    headers: Headers = ((b"location", b"/tasks/" + quote(task_id, safe="").encode()),)
    if call["Prefer"] is not None:
        record = await ended(call.site, task_id, call["Prefer"])
        if record is not None:
            return ok(show.task(record), (*headers, *APPLIED))
    return accepted({"task_id": task_id, "status": PENDING}, headers)


async def _submit_many(call: Call, body: bytes, contents: Sequence[Any]) -> Answer:
    if len(contents) > MOST:
        raise Problem(
            problems.INVALID_OPTIONS, f"{len(contents)} items are more than the {MOST} that are taken at once"
        )
    orders = []
    for index, content in enumerate(contents):
        try:
            orders.append(order_of(content))
        except Problem as problem:
            raise _at(index, problem) from None
    if call["Idempotency-Key"] is None:
        submissions = await _prepared(call.site, orders, many=True)
        await _refuse_taken(call.site, orders, submissions)
        await _queue(call.site, submissions)
        task_ids = [submission.record.task_id for submission in submissions]
    else:
        task_ids = await _once(call, body, orders, many=True)
    return accepted({"items": [{"task_id": task_id, "status": PENDING} for task_id in task_ids]})


def _lines(call: Call, body: bytes) -> list[Any]:
    """NDJSON: one value a line, empty lines passed over."""
    contents = []
    for line in body.split(b"\n"):
        if line.strip():
            try:
                contents.append(call.decoded(line))
            except Problem as problem:
                raise _at(len(contents), problem) from None
    return contents


async def _once(call: Call, body: bytes, orders: list[Order], *, many: bool) -> list[str]:
    """Queue the orders unless this request was carried out before; their ids are fixed first."""
    chosen = [isinstance(order.options.get("task_id"), str) for order in orders]
    task_ids = [order.options["task_id"] if own else new_id() for order, own in zip(orders, chosen, strict=True)]
    scope = call.scope
    request = request_hash(scope["method"].encode(), scope["path"].encode(), scope["query_string"], body)
    once = Idempotency(call.site.backends.results.keys, call.key.owner, call.site.clock)
    queue = functools.partial(_carry_out, call.site, orders, many=many)
    return await once.once(call["Idempotency-Key"], request, task_ids, queue)


async def _carry_out(site: Site, orders: list[Order], task_ids: list[str], since: float | None, *, many: bool) -> None:
    """Queue orders under given ids; those that were queued by an earlier try, `since` then, are left as they are."""
    for order, task_id in zip(orders, task_ids, strict=True):
        order.options.setdefault("task_id", task_id)
    submissions = await _prepared(site, orders, many=many)
    if since is not None:
        there = await _there(site, task_ids, since)
        submissions = [each for each in submissions if each.record.task_id not in there]
    if many:  # of one alone, the commit says it
        await _refuse_taken(site, orders, submissions)
    await _queue(site, submissions)


async def _there(site: Site, task_ids: list[str], since: float) -> set[str]:
    """Which of these tasks an earlier try of the same request has queued."""
    found = set()
    for start in range(0, len(task_ids), bulk.READ):
        records = await site.backends.results.records.get(task_ids[start : start + bulk.READ])
        found |= {task_id for task_id, record in records.items() if record.created_at >= since - 1.0}
    return found


async def _prepared(site: Site, orders: Sequence[Order], *, many: bool) -> list[Submission]:
    """Every order validated; the first of many that is wrong is named by its index."""
    submissions: list[Submission] = []
    seen: set[str] = set()
    for index, order in enumerate(orders):
        try:
            submission = await prepared(site, order)
        except PenstockError as error:
            raise (_at(index, error) if many else error) from None
        if submission.record.task_id in seen:
            raise _at(index, TaskIdTaken(submission.record.task_id))
        seen.add(submission.record.task_id)
        submissions.append(submission)
        if index % 100 == 99:
            await asyncio.sleep(0)  # others want to be served too
    return submissions


async def _refuse_taken(site: Site, orders: Sequence[Order], submissions: Sequence[Submission]) -> None:
    """409 naming the index of the first item whose own task_id exists, before anything is queued."""
    chosen = [order.options["task_id"] for order in orders if "task_id" in order.options]
    wanted = {submission.record.task_id for submission in submissions}
    for start in range(0, len(chosen), bulk.READ):
        asked = [task_id for task_id in chosen[start : start + bulk.READ] if task_id in wanted]
        taken = await site.backends.results.records.check(asked) if asked else {}
        if taken:
            index = next(i for i, order in enumerate(orders) if order.options.get("task_id") in taken)
            raise _at(index, TaskIdTaken(orders[index].options["task_id"]))


async def _queue(site: Site, submissions: Sequence[Submission]) -> None:
    """Queue in order; a failure midway tells which were accepted before it."""
    try:
        await bulk.queue(site.submitter, submissions)
    except PenstockError as error:
        problem = problem_of(error)
        if problem is None or not error.accepted:
            raise
        problem.members["accepted"] = list(error.accepted)
        raise problem from error


def _at(index: int, error: Exception) -> Exception:
    """The problem of one item of many."""
    problem = problem_of(error)
    if problem is None:
        return error
    # 404 would say that the address is wrong; of many it is a fault of the body
    kind = problems.UNKNOWN_TASK_AMONG_MANY if problem.kind is problems.UNKNOWN_TASK else problem.kind
    members = {**problem.members, "index": index}
    return Problem(kind, f"item {index}: {problem.detail}", headers=problem.headers, **members)
