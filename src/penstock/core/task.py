"""The options of a task and of a submission, as values (DESIGN §2, §5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from msgspec import UNSET

from penstock.core import options
from penstock.core.errors import ConfigurationError, InvalidOptions
from penstock.core.retry import RetryPolicy
from penstock.core.times import unix

_JSON: Final = options.only("json", "only JSON travels; pickle and other formats can run code, or are not checked")
_ACKS_LATE: Final = options.only(
    True, "acks_late is always on: a message is settled after its ending is recorded, so that no task is lost"
)
_LOST: Final = options.only(True, "the task of a worker that died always runs again, up to max_deliveries times")
_UNCOMPRESSED: Final = options.only(None, "bodies are sent as they are; compressed ones are only read")

_TASK: Final[dict[str, options.Check]] = {
    "name": options.maybe_text,
    "bind": options.flag,
    "queue": options.maybe_text,
    "priority": options.priority,
    "max_retries": options.maybe_count,
    "autoretry_for": options.exceptions,
    "dont_autoretry_for": options.exceptions,
    "default_retry_delay": options.seconds,
    "retry_backoff": options.of(bool | float),
    "retry_backoff_max": options.seconds,
    "retry_jitter": options.flag,
    "retry_kwargs": options.of(dict[str, Any]),
    "time_limit": options.maybe_seconds,
    "soft_time_limit": options.maybe_seconds,
    "expires": options.delay,
    "ignore_result": options.flag,
    "track_started": options.flag,
    "typing": options.flag,
    "shadow": options.maybe_text,
    "serializer": _JSON,
    "acks_late": _ACKS_LATE,
    "reject_on_worker_lost": _LOST,
    "compression": _UNCOMPRESSED,
    **dict.fromkeys(("rate_limit", "link", "link_error", "chain", "group", "chord"), options.later),
}

#: Which options a task may have; an app takes them too, as the default for all its tasks.
TASK_OPTIONS: Final = frozenset(_TASK)
APP_OPTIONS: Final = TASK_OPTIONS - {"name", "bind", "shadow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """How a task is to be run. Limits and delays are seconds."""

    name: str | None = None
    bind: bool = False
    queue: str | None = None  #: None: the app's default queue
    priority: int | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    time_limit: float | None = None
    soft_time_limit: float | None = None
    expires: float | None = None
    ignore_result: bool = False
    track_started: bool = False
    typing: bool = True  #: check arguments against the type hints before anything is queued
    shadow: str | None = None  #: a name to show instead of the task's

    @classmethod
    def of(cls, given: Mapping[str, Any], what: str = "task") -> TaskOptions:
        """Check options as they are written in `@app.task(...)`. Raises ConfigurationError with every fault."""
        values, faults = options.check(_flat(given), _TASK)
        faults |= _limit_faults(values)
        if faults:
            raise ConfigurationError(*(f"{what}: {name}: {fault}" for name, fault in faults.items()))
        own = {key: value for key, value in values.items() if key in _PLAIN}
        return cls(retry=_policy(values), **own)


_PLAIN: Final = frozenset(each.name for each in fields(TaskOptions))


def _flat(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Celery's `retry_kwargs={"max_retries": 5, "countdown": 2}` as the options that it stands for."""
    extra = given.get("retry_kwargs")
    if not isinstance(extra, Mapping):
        return given
    names = {"countdown": "default_retry_delay"}
    own = {name: value for name, value in given.items() if name != "retry_kwargs"}
    return {**own, **{names.get(name) or name: value for name, value in extra.items()}}


def _limit_faults(values: Mapping[str, Any]) -> dict[str, str]:
    hard, soft = values.get("time_limit"), values.get("soft_time_limit")
    if hard and soft and soft >= hard:
        return {"soft_time_limit": f"{soft} is not less than the hard time_limit ({hard})"}
    return {}


def _policy(values: Mapping[str, Any]) -> RetryPolicy:
    fixed, backoff = values.get("default_retry_delay"), values.get("retry_backoff")
    doubling = bool(backoff) if backoff is not None else fixed is None
    number = backoff if isinstance(backoff, float) and backoff > 0 else 1.0
    return RetryPolicy(
        max_retries=values.get("max_retries", UNSET),
        autoretry_for=values.get("autoretry_for"),
        dont_autoretry_for=values.get("dont_autoretry_for", ()),
        first=number if doubling or fixed is None else fixed,
        doubling=doubling,
        longest=values.get("retry_backoff_max", 600.0),
        jitter=values.get("retry_jitter", True),
    )


_OF_TASK: Final = "is an option of the task; give it to @app.task"
_SUBMIT: Final[dict[str, options.Check]] = {
    "task_id": options.maybe_text,
    "queue": options.maybe_text,
    "priority": options.priority,
    "countdown": options.delay,
    "eta": options.moment,
    "expires": options.expiry,
    "retries": options.count,
    "time_limit": options.maybe_seconds,
    "soft_time_limit": options.maybe_seconds,
    "ignore_result": options.maybe_flag,
    "headers": options.headers,
    "shadow": options.maybe_text,
    "reply_to": options.of(str | None),
    "root_id": options.maybe_text,
    "parent_id": options.maybe_text,
    "add_to_parent": options.flag,
    "serializer": _JSON,
    "acks_late": _ACKS_LATE,
    "compression": _UNCOMPRESSED,
    "routing_key": options.refused("queues are named directly here; give queue"),
    "exchange": options.refused("queues are named directly here; give queue"),
    **dict.fromkeys(("rate_limit", "link", "link_error", "chain", "group", "chord", "group_id"), options.later),
    **dict.fromkeys(
        ("max_retries", "retry_backoff", "retry_backoff_max", "retry_jitter", "autoretry_for", "dont_autoretry_for"),
        options.refused(_OF_TASK),
    ),
}
#: Which options a submission may have.
SUBMIT_OPTIONS: Final = frozenset(_SUBMIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitOptions:
    """What one submission asks for; None leaves it to the task. Times are unix seconds, limits seconds."""

    task_id: str | None = None
    queue: str | None = None
    priority: int | None = None
    eta: float | None = None
    expires: float | None = None
    retries: int = 0
    time_limit: float | None = None
    soft_time_limit: float | None = None
    ignore_result: bool | None = None
    headers: dict[str, Any] = field(default_factory=dict)
    shadow: str | None = None
    reply_to: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    add_to_parent: bool = True

    @classmethod
    def of(cls, given: Mapping[str, Any], now: float) -> SubmitOptions:
        """Check options as they are written in `apply_async(...)`; seconds count from `now` (unix time).

        Raises InvalidOptions with every fault.
        """
        if not given:
            return _NOTHING
        values, faults = options.check(given, _SUBMIT)
        if values.get("countdown") is not None and values.get("eta") is not None:
            faults["countdown"] = "give either countdown or eta"
        faults |= _limit_faults(values)
        if faults:
            raise InvalidOptions(faults)
        countdown, expires = values.pop("countdown", None), values.get("expires")
        if countdown is not None:
            values["eta"] = now + countdown
        if expires is not None:
            values["expires"] = now + expires if isinstance(expires, float) else unix(expires)
        return cls(**{name: value for name, value in values.items() if name in _SUBMITTED})


_NOTHING: Final = SubmitOptions()
_SUBMITTED: Final = frozenset(each.name for each in fields(SubmitOptions))
