"""One attempt at a task, as its message asks for it: what the worker runs and what a task sees as `self.request`."""

from __future__ import annotations

from typing import Any

import msgspec


class Request(msgspec.Struct):
    """The decoded message. Attributes that Celery has carry Celery's names; times are unix seconds."""

    id: str
    task: str
    args: list[Any]
    kwargs: dict[str, Any]
    embed: dict[str, Any]  #: workflow fields, untouched: callbacks, errbacks, chain, chord
    headers: dict[str, Any]  #: every header of the message, the user's own among them
    retries: int = 0
    eta: float | None = None
    expires: float | None = None
    time_limit: float | None = None  #: hard, seconds; None: the task's own
    soft_time_limit: float | None = None
    root_id: str = ""
    parent_id: str | None = None
    group: str | None = None
    group_index: int | None = None
    ignore_result: bool | None = None  #: None: the task's own
    reply_to: str = ""
    priority: int = 0
    queue: str = "default"
    generation: int = 0  #: raised by each retry through the API
    deliveries: int = 0  #: runs that began, this one included; set by the worker
    redelivered: bool = False  #: set by the worker
    hostname: str = ""  #: name of the worker; set by it
    called_directly: bool = False  #: True for `add(2, 3)`, which involves no message
    is_eager: bool = False
    properties: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def correlation_id(self) -> str:
        """What a reply is matched by; the id, as a rule."""
        return str(self.properties.get("correlation_id") or self.id)

    @property
    def delivery_info(self) -> dict[str, Any]:
        """{"exchange", "routing_key", "priority", "redelivered"}, as in Celery."""
        sent = self.properties.get("delivery_info")
        exchange = sent.get("exchange", "") if isinstance(sent, dict) else ""
        return {
            "exchange": exchange,
            "routing_key": self.queue,
            "priority": self.priority,
            "redelivered": self.redelivered,
        }

    @property
    def timelimit(self) -> tuple[float | None, float | None]:
        """(hard, soft) in seconds: Celery's order."""
        return self.time_limit, self.soft_time_limit

    @property
    def shadow(self) -> str | None:
        """The name to show instead of the task's."""
        found = self.headers.get("shadow")
        return found if isinstance(found, str) else None

    @property
    def origin(self) -> str | None:
        """`gen<pid>@<host>` of the sender."""
        found = self.headers.get("origin")
        return found if isinstance(found, str) else None

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or else a header, of that name."""
        return getattr(self, name) if hasattr(self, name) else self.headers.get(name, default)
