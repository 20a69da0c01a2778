"""Dead letters: messages that nobody will run again by themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from penstock.api import show
from penstock.api.answer import Answer, Nothing, accepted, ok
from penstock.api.call import Call
from penstock.api.tasks import expected
from penstock.client import operations
from penstock.core.errors import Conflict, NotFound
from penstock.core.record import DeadLetter

MOST = 10_000  # letters that one call deals with
READ = 500


async def page(call: Call) -> Answer:
    """GET /dead."""
    dead = call.site.backends.results.dead
    letters, following = await dead.page(call["queue"] or "", call["reason"] or "", call["limit"], call["cursor"])
    return ok({"items": [show.dead_letter(letter) for letter in letters], "next": following})


async def get(call: Call) -> Answer:
    """GET /dead/{letter_id}."""
    return ok(show.dead_letter_whole(await _letter(call)))


async def discard(call: Call) -> Answer:
    """DELETE /dead/{letter_id}."""
    if not await call.site.backends.results.dead.discard([call["letter_id"]]):
        raise _unknown(call)
    return Nothing(204)


async def replay(call: Call) -> Answer:
    """POST /dead/{letter_id}/replay."""
    letter = await _letter(call)
    await operations.replay(call.site.backends, letter.id)
    return accepted({"id": letter.id, "queue": letter.queue, "task_id": letter.task_id or None})


async def replay_many(call: Call) -> Answer:
    """POST /dead/replay."""

    async def one(letters: list[DeadLetter]) -> int:
        done = 0
        for letter in letters:
            try:
                await operations.replay(call.site.backends, letter.id)
            except (Conflict, NotFound):
                continue
            done += 1
        return done

    return await _for_each(call, one)


async def discard_many(call: Call) -> Answer:
    """POST /dead/discard."""

    async def some(letters: list[DeadLetter]) -> int:
        return await call.site.backends.results.dead.discard([letter.id for letter in letters])

    return await _for_each(call, some)


async def _for_each(call: Call, some: Callable[[list[DeadLetter]], Awaitable[int]]) -> Answer:
    queue, reason = call["queue"] or "", call["reason"] or ""
    # everything is meant only if that is said
    dry_run = call["dry_run"] or not (queue or reason or call["all"])
    dead = call.site.backends.results.dead
    matched = await dead.count(queue, reason)
    expected(call, matched)
    done, seen, cursor = 0, 0, None
    while not dry_run and seen < MOST:
        letters, cursor = await dead.page(queue, reason, READ, cursor)
        seen += len(letters)
        done += await some([each for each in letters if call["as_of"] is None or each.died_at < call["as_of"]])
        if cursor is None:
            break
    return ok({"matched": matched, "done": done, "left": max(0, matched - done), "dry_run": dry_run})


async def _letter(call: Call) -> DeadLetter:
    letter = await call.site.backends.results.dead.get(call["letter_id"])
    if letter is None:
        raise _unknown(call)
    return letter


def _unknown(call: Call) -> NotFound:
    return NotFound(f"there is no dead letter {call['letter_id']!r}")
