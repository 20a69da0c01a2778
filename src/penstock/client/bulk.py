"""Submitting many tasks with one call: all are checked before the first is queued; they go in few, large commits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from penstock.client.submit import Submission, Submitter
from penstock.client.task import Task
from penstock.core.errors import InvalidArguments, PenstockError, SubmitError, TaskIdTaken

COMMITTED: Final = 1000  #: tasks that are queued together
READ: Final = 500  #: records that are looked at together

#: (task, arguments) or (task, arguments, options): the task itself or its name, arguments in order or by name.
Call = (
    tuple[Task | str, Sequence[Any] | Mapping[str, Any]]
    | tuple[Task | str, Sequence[Any] | Mapping[str, Any], Mapping[str, Any]]
)


class App(Protocol):
    """What many submissions need of their app."""

    def prepare(
        self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any], check: bool
    ) -> Submission:
        """Validate and encode one."""


@dataclass(slots=True)
class Batch:
    """What one call submits, in order."""

    submissions: list[Submission] = field(default_factory=list)
    options: list[Mapping[str, Any]] = field(default_factory=list)  #: as given, one for each

    def __iter__(self) -> Iterator[tuple[Submission, Mapping[str, Any]]]:
        return iter(zip(self.submissions, self.options, strict=True))

    async def send(self, submitter: Submitter) -> None:
        """Make sure that the ids which the caller chose are free, then queue.

        Raises TaskIdTaken with its `index`, and then nothing is queued; and whatever `queue` raises.
        """
        chosen = {each.record.task_id: index for index, (each, given) in enumerate(self) if given.get("task_id")}
        task_ids = list(chosen)
        for start in range(0, len(task_ids), READ):
            for task_id in await submitter.backends.results.records.check(task_ids[start : start + READ]):
                raise _at(chosen[task_id], TaskIdTaken(task_id))
        await queue(submitter, self.submissions)


def prepared(app: App, calls: Iterable[Call], check: bool) -> Batch:
    """Every call validated and encoded. Raises the SubmitError of the first that is wrong; `index` tells which."""
    batch = Batch()
    seen: set[str] = set()
    for index, call in enumerate(calls):
        try:
            task, args, kwargs, options = _parts(call)
            submission = app.prepare(task, args, kwargs, options, check)
            if submission.record.task_id in seen:
                raise TaskIdTaken(submission.record.task_id)
        except SubmitError as error:
            raise _at(index, error) from None
        seen.add(submission.record.task_id)
        batch.submissions.append(submission)
        batch.options.append(options)
    return batch


async def queue(submitter: Submitter, submissions: Sequence[Submission]) -> None:
    """Queue in order, so many in each commit. A PenstockError midway has in `accepted` the ids queued before it."""
    for start in range(0, len(submissions), COMMITTED):
        try:
            await submitter.submit(submissions[start : start + COMMITTED])
        except PenstockError as error:
            error.accepted = [each.record.task_id for each in submissions[:start]]
            raise


def _parts(call: Call) -> tuple[str, Sequence[Any], Mapping[str, Any], Mapping[str, Any]]:
    """A call's (name, args, kwargs, options)."""
    if not isinstance(call, tuple) or len(call) not in {2, 3}:
        raise SubmitError(f"expected (task, arguments) or (task, arguments, options), not {call!r:.80}")
    task, arguments = call[0], call[1]
    options = call[2] if len(call) == 3 else {}
    name = task.name if isinstance(task, Task) else task
    if isinstance(arguments, Mapping):
        return name, (), arguments, options
    if not isinstance(arguments, (list, tuple)):
        raise InvalidArguments(name, {"arguments": "expected a list or tuple, or a dict of arguments by name"})
    return name, arguments, {}, options


def _at(index: int, error: SubmitError) -> SubmitError:
    error.index = index
    error.add_note(f"It is the call at index {index} of those submitted together; none was queued.")
    return error
