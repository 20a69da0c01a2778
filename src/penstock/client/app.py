"""Penstock: the app. It registers tasks, prepares and sends submissions, and hands out results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any, Final

from penstock.client import backends, bulk, eager, enlist, result
from penstock.client.around import Around
from penstock.client.context import running
from penstock.client.periodic import Timetable
from penstock.client.portal import Portal
from penstock.client.routes import Queues, Routes, Routing
from penstock.client.submit import Submission
from penstock.core.errors import ConfigurationError, InvalidArguments, MessageTooLarge, UnknownTask
from penstock.core.fault import unknown
from penstock.core.ids import new_id
from penstock.core.protocol import encode_task
from penstock.core.record import Record
from penstock.core.settings import Settings
from penstock.core.states import PENDING
from penstock.core.task import APP_OPTIONS, SubmitOptions, TaskOptions

_SETTINGS: Final = frozenset(each.name for each in fields(Settings))
_UNKNOWN_TASK: Final = TaskOptions()  #: what is assumed of a task that only workers know


class Penstock(Timetable):
    """An application: its tasks, and where their messages and records are kept.

    `broker` and `result_backend` are URLs; what is not given is read from the environment (PENSTOCK_BROKER_URL, …).
    `options` are task options, as defaults for all tasks, and any field of Settings.
    Raises ConfigurationError with every fault.
    """

    def __init__(
        self,
        name: str = "penstock",
        *,
        broker: str | None = None,
        result_backend: str | None = None,
        task_routes: Routing | None = None,
        queues: Queues | None = None,
        clock: Callable[[], float] = time.time,
        **options: Any,
    ) -> None:
        if "queue" in options:  # the default for all tasks is the default queue
            options["default_queue"] = options.pop("queue")
        known = _SETTINGS | APP_OPTIONS | {"broker", "task_routes", "queues"}
        faults = [unknown("option", option, known) for option in options if option not in known]
        if faults:
            raise ConfigurationError(*faults)
        super().__init__({option: value for option, value in options.items() if option in APP_OPTIONS})
        own = {"broker_url": broker, "result_backend": result_backend}
        own |= {option: value for option, value in options.items() if option in _SETTINGS}
        self.name = name
        self.clock = clock
        self.around: Around | None = None  #: what a framework puts around every run of a task
        self.mounts: dict[str, Any] = {}
        self._own = own
        self._routing = (task_routes, queues)
        self.configure()

    def __repr__(self) -> str:
        return f"<Penstock {self.name}>"

    def configure(self, **found: Any) -> None:
        """Read the settings anew, before the first use: `found` are those that a framework's configuration has.

        What was given when the app was made comes before them, the environment after. Raises ConfigurationError.
        """
        own = {name: value for name, value in self._own.items() if value is not None}
        self.settings = Settings.load(None, backends.unserved, **{**found, **own})
        self.routes = Routes(*self._routing, self.settings.default_queue)
        self.portal = Portal(
            lambda blocking: self.backends(blocking=blocking), blocks=backends.can_block(self.settings)
        )

    def load(self) -> None:
        """Import what registers tasks, where that is not what imports the app. Every process that serves it does so."""

    # ---------------------------------------------------------------------------------------------------------- sending

    def send_task(
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> result.AsyncResult[Any]:
        """Submit a task by name. It need not be registered here, and its arguments are not checked."""
        return self.submit(name, args or (), kwargs or {}, options, check=False)

    async def asend_task(
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> result.AsyncResult[Any]:
        """Submit a task by name, as `send_task`."""
        return await self.asubmit(name, args or (), kwargs or {}, options, check=False)

    def submit(
        self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any], check: bool = True
    ) -> result.AsyncResult[Any]:
        """Prepare and send; return when the task is durable (DESIGN §6.1). Raises SubmitError, Unavailable."""
        if enlist.OPTIONS & options.keys():
            return self._enlisted(task, args, kwargs, options, check)
        submission = self.prepare(task, args, kwargs, options, check)
        self.send(submission)
        return self._sent(submission, options)

    def _enlisted(
        self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any], check: bool
    ) -> result.AsyncResult[Any]:
        """In step with a transaction of the caller's."""
        options, connection, session = enlist.parted(options)
        submission = self.prepare(task, args, kwargs, options, check)
        if session is not None:
            enlist.after(session, partial(self.send, submission))
        elif connection is None or self.settings.eager:
            self.send(submission)
        else:
            enlist.within_now(self.portal.call(enlist.opened), submission, connection)
        return self._sent(submission, options)

    def send(self, submission: Submission) -> None:
        """Send what was prepared; return when it is durable. Raises as `submit`."""
        if self.settings.eager:
            eager.run(self, submission)
        else:
            self.portal.call(lambda submitter: submitter.submit((submission,)))

    async def asubmit(
        self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any], check: bool = True
    ) -> result.AsyncResult[Any]:
        """Prepare and send, as `submit`."""
        options, connection, session = enlist.parted(options)
        submission = self.prepare(task, args, kwargs, options, check)
        if session is not None:
            enlist.after(session, partial(self.send, submission))
        elif connection is not None and not self.settings.eager:
            doing = enlist.within(await self.portal.acall(enlist.opened), submission, connection)
            if doing is not None:
                await doing
        elif self.settings.eager:
            await eager.arun(self, submission)
        else:
            await self.portal.acall(lambda submitter: submitter.submit((submission,)))
        return self._sent(submission, options)

    def submit_many(self, calls: Iterable[bulk.Call], *, check: bool = True) -> list[result.AsyncResult[Any]]:
        """Submit many tasks: `app.submit_many([(add, (2, 3)), (add, {"x": 4}), ("mail", (5,), {"countdown": 60})])`.

        A call is (task, arguments) or (task, arguments, options): the task or its name, arguments in order or by name.
        All are checked before the first is queued; with `check=False` names need not be registered here. Raises the
        SubmitError of the first that is wrong, with its `index`; Unavailable midway has in `accepted` the task_ids
        that were queued. Far faster than one by one: they share commits, up to 1,000 in each.
        """
        batch = bulk.prepared(self, calls, check)
        if self.settings.eager:
            for submission, _ in batch:
                eager.run(self, submission)
        else:
            self.portal.call(batch.send)
        return [self._sent(submission, options) for submission, options in batch]

    async def asubmit_many(self, calls: Iterable[bulk.Call], *, check: bool = True) -> list[result.AsyncResult[Any]]:
        """Submit many tasks, as `submit_many`."""
        batch = bulk.prepared(self, calls, check)
        if self.settings.eager:
            for submission, _ in batch:
                await eager.arun(self, submission)
        else:
            await self.portal.acall(batch.send)
        return [self._sent(submission, options) for submission, options in batch]

    def prepare(
        self,
        task: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        check: bool = True,
    ) -> Submission:
        """Validate and encode; nothing is sent.

        With `check` the task must be registered and the arguments fit its signature. Submitted inside a task it becomes
        a child of that one. Raises UnknownTask, InvalidArguments, InvalidOptions, EncodingError, MessageTooLarge.
        """
        known = self.tasks.get(task)
        kwargs = {} if kwargs is None else kwargs
        if check and known is None:
            raise UnknownTask(task, self.near(task))
        if not isinstance(args, (list, tuple)) or not isinstance(kwargs, (dict, Mapping)):
            raise InvalidArguments(task, {"args": "expected a list or tuple, and for kwargs a dict"})
        if check and known is not None and known.options.typing:
            args, kwargs = known.arguments.check(args, kwargs)
        own = _UNKNOWN_TASK if known is None else known.options
        return self._encoded(task, own, args, kwargs, self._wanted(task, own, args, kwargs, options or {}))

    def _wanted(
        self, task: str, own: TaskOptions, args: Sequence[Any], kwargs: Mapping[str, Any], given: Mapping[str, Any]
    ) -> SubmitOptions:
        """The options of a submission: what it says itself, then the task, then the route, then the queue."""
        if self.routes:
            given = self.routes.options(task, args, kwargs, given, own)
        return SubmitOptions.of(given, self.clock())

    def _encoded(
        self, task: str, own: TaskOptions, args: Sequence[Any], kwargs: Mapping[str, Any], wanted: SubmitOptions
    ) -> Submission:
        now = self.clock()
        current = running.get()
        parent = None if current is None else current.request
        task_id = wanted.task_id or new_id()
        queue = wanted.queue or own.queue or self.settings.default_queue
        expires = now + own.expires if wanted.expires is None and own.expires is not None else wanted.expires
        message = encode_task(
            task=task,
            task_id=task_id,
            args=args,
            kwargs=kwargs,
            queue=queue,
            priority=(own.priority or 0) if wanted.priority is None else wanted.priority,
            eta=wanted.eta,
            expires=expires,
            retries=wanted.retries,
            time_limit=wanted.time_limit,
            soft_time_limit=wanted.soft_time_limit,
            root_id=wanted.root_id or (parent.root_id if parent else None),
            parent_id=wanted.parent_id or (parent.id if parent else None),
            ignore_result=wanted.ignore_result,
            reply_to=wanted.reply_to or "",
            headers=wanted.headers,
            shadow=wanted.shadow or own.shadow,
        )
        if len(message.body) > self.settings.max_body:
            raise MessageTooLarge(len(message.body), self.settings.max_body)
        record = Record(
            task_id=task_id,
            task=task,
            state=PENDING,
            queue=queue,
            message=message,
            created_at=round(now, 6),
            eta=wanted.eta,
            expires=expires,
            retries=wanted.retries,
        )
        return Submission(record, message)

    def _sent(self, submission: Submission, options: Mapping[str, Any]) -> result.AsyncResult[Any]:
        current = running.get()
        if current is not None and options.get("add_to_parent", True):
            current.children.append(submission.record.task_id)
        return result.AsyncResult(submission.record.task_id, self)

    # -------------------------------------------------------------------------------------------------- everything else

    def AsyncResult(self, task_id: str) -> result.AsyncResult[Any]:  # noqa: N802 - Celery's name for it
        """The handle of a task that was submitted anywhere."""
        return result.AsyncResult(task_id, self)

    def backends(self, blocking: bool = False) -> backends.Backends:
        """A new broker and result backend, not opened. Raises ConfigurationError for a URL that nothing serves."""
        return backends.connect(self.settings, blocking=blocking, clock=self.clock)

    @property
    def queues(self) -> list[str]:
        """The default queue and every queue that tasks, routes or the app name: what a worker takes by default."""
        named = [task.options.queue for task in self.tasks.values() if task.options.queue]
        return list(dict.fromkeys([self.settings.default_queue, *named, *self.routes.queues]))

    def mount(self, path: str, application: Any) -> None:
        """Have the API server serve an ASGI application of your own below `path`, behind the same keys."""
        if not path.startswith("/") or path.endswith("/") or path in self.mounts:
            raise ConfigurationError(f"mount {path!r}: expected a new path like /shop")
        self.mounts[path] = application

    def close(self) -> None:
        """Close what the synchronous calls have opened. Happens at exit by itself; closing twice is fine."""
        self.portal.close()

    async def aclose(self) -> None:
        """Close what the a-twins have opened on the running event loop. Happens at its end by itself."""
        await self.portal.aclose()
