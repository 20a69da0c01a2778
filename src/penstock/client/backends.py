"""From URLs to back ends: the one table of schemes, and the one place that imports a back end by name."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType, TracebackType
from typing import Any, Final, Literal, Self

from penstock.core.broker import Broker
from penstock.core.errors import ConfigurationError
from penstock.core.fault import near
from penstock.core.results import ResultBackend
from penstock.core.settings import Settings
from penstock.core.step import Driver
from penstock.core.url import place, redact, scheme

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Kind:
    """Where the parts of a scheme live: `open_driver`, `open_broker` and `open_results` in modules of that name."""

    module: str
    #: whether it can be opened so that its coroutines never suspend; "shared": only where it holds messages and records
    blocks: Literal["", "shared", "always"] = ""
    records: bool = True  #: has a result backend


_KINDS: Final = {
    "sqlite": _Kind("sqlite", "always"),
    "memory": _Kind("memory", "always"),
    "redis": _Kind("redis", "shared"),
    "rediss": _Kind("redis", "shared"),
    "redis+socket": _Kind("redis", "shared"),
    "postgresql": _Kind("postgres"),
    "postgres": _Kind("postgres"),
    "amqp": _Kind("rabbitmq", records=False),
    "amqps": _Kind("rabbitmq", records=False),
    "pyamqp": _Kind("rabbitmq", records=False),
}


class Backends:
    """A broker and a result backend, unopened; on one driver where both are in the same place (`shared`)."""

    def __init__(self, broker: Broker, results: ResultBackend, *, blocking: bool = False, urls: str = "") -> None:
        self.broker = broker
        self.results = results
        self.blocking = blocking  #: its coroutines never suspend: they may be stepped on any thread
        self.urls = urls  #: for people: where messages and records are kept, without secrets

    @property
    def shared(self) -> bool:
        """Whether a record and its message go in one transaction."""
        return self.broker.driver is self.results.driver

    async def open(self) -> None:
        """Connect and prepare both. Opening twice is fine."""
        await self.broker.open()
        await self.results.open()

    async def close(self) -> None:
        """Let go of every resource. Closing twice is fine."""
        try:
            await self.results.close()
        finally:
            await self.broker.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def connect(settings: Settings, *, blocking: bool = False, clock: Clock = time.time) -> Backends:
    """The unopened back ends of `settings`. Raises ConfigurationError for URLs that no back end serves."""
    broker, results = settings.broker_url, settings.result_backend
    faults = [fault for url in dict.fromkeys((broker, results)) if url and (fault := unserved(url))]
    if not results or (scheme(results) in _KINDS and not _KINDS[scheme(results)].records):
        faults.append(
            f"{redact(results or broker)} cannot hold results; set PENSTOCK_RESULT_BACKEND to a place that can, "
            "e.g. sqlite:///penstock.db"
        )
    if faults:
        raise ConfigurationError(*faults)
    given = {"settings": settings, "blocking": blocking, "clock": clock}
    driver = _driver(broker, given)
    same = place(broker) == place(results)
    return Backends(
        _part("brokers", broker).open_broker(broker, driver=driver, **given),
        _part("results", results).open_results(results, driver=driver if same else _driver(results, given), **given),
        blocking=blocking,
        urls=redact(broker) if same else f"{redact(broker)} and {redact(results)}",
    )


def connect_bare(settings: Settings, *, clock: Clock = time.time) -> Backends:
    """The unopened broker of `settings` with a result backend that keeps nothing: for raw messages.

    Raises ConfigurationError for a URL that no back end serves.
    """
    url = settings.broker_url
    if fault := unserved(url):
        raise ConfigurationError(fault)
    given = {"settings": settings, "blocking": False, "clock": clock}
    broker = _part("brokers", url).open_broker(url, driver=_driver(url, given), **given)
    nowhere = import_module("penstock.results.memory.nowhere")
    return Backends(broker, nowhere.open_nowhere(clock), urls=redact(url))


def can_block(settings: Settings) -> bool:
    """Whether both back ends can be opened with `blocking`.

    On two servers they are not: there a publish is confirmed beside the calls, once no other call is waiting.
    """
    urls = (settings.broker_url, settings.result_backend)
    enough = {"shared", "always"} if place(urls[0]) == place(urls[1]) else {"always"}
    return all((kind := _KINDS.get(scheme(url))) is not None and kind.blocks in enough for url in urls)


def require_shared(settings: Settings) -> None:
    """Raise ConfigurationError where messages or records are kept in this process's memory."""
    if settings.eager:
        raise ConfigurationError(
            "PENSTOCK_EAGER is set: tasks run where they are submitted, and no other process sees them"
        )
    if "memory" in (scheme(settings.broker_url), scheme(settings.result_backend)):
        raise ConfigurationError(
            "memory:// is for tests: no other process sees what is in there; use sqlite:///NAME.db"
        )


def _driver(url: str, given: dict[str, Any]) -> Driver:
    driver: Driver = _part("drivers", url).open_driver(url, **given)
    return driver


def _part(layer: str, url: str) -> ModuleType:
    return import_module(f"penstock.{layer}.{_KINDS[scheme(url)].module}")


def unserved(url: str) -> str:
    """Why no back end can serve this URL; "" if one can."""
    kind = scheme(url)
    if kind in _KINDS:
        return ""
    found = near(kind, _KINDS)
    hint = f"did you mean {found[0]}://?" if found else f"known are {', '.join(f'{name}://' for name in _KINDS)}"
    return f"{redact(url)}: no back end for {kind}://; {hint}"
