"""Settings: one value object, read once from arguments and environment. Each field is the variable PENSTOCK_<FIELD>."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Final, get_type_hints

import msgspec
from msgspec import Meta

from penstock.core import access, discovery
from penstock.core.errors import ConfigurationError
from penstock.core.fault import reason, unknown
from penstock.core.ids import new_id
from penstock.core.url import absolute, redact, scheme

Seconds = Annotated[float, Meta(gt=0, le=10**9)]
Count = Annotated[int, Meta(ge=1, le=10**9)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Texts = tuple[str, ...]

PREFIX: Final = "PENSTOCK_"
#: Celery's variables, read where ours are unset, in this order (DESIGN §5.2).
_CELERY: Final = {
    "broker_url": ("CELERY_BROKER_URL", "CELERY_BROKER_URI"),
    "result_backend": ("CELERY_RESULT_BACKEND",),
}
_NO_RECORDS: Final = frozenset({"amqp", "amqps", "pyamqp"})  #: brokers that cannot hold results


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, with its default. Durations are seconds, sizes bytes."""

    broker_url: str = field(default="sqlite:///penstock.db", repr=False)
    result_backend: str = field(default="", repr=False)  #: "": same place as the broker
    default_queue: Annotated[str, Meta(min_length=1, max_length=255)] = "default"

    host: str = "127.0.0.1"
    port: Port = 8000
    api_keys: Texts = field(default=(), repr=False)  #: separated by commas in the environment
    allowed_hosts: Texts = ()  #: names besides its own that the API answers to in the Host header
    api_rate_limit: str = ""  #: of each API key, e.g. "100/s" or "6000/m"; "": none
    insecure: bool = False  #: serve beyond loopback without keys

    processes: Annotated[int, Meta(ge=0, le=4096)] = 0  #: of a worker; 0: one a core
    threads: Annotated[int, Meta(ge=1, le=4096)] = 8  #: for plain functions, a process
    concurrency: Annotated[int, Meta(ge=1, le=100_000)] = 100  #: async tasks at once, a process
    lease: Seconds = 10.0
    lease_renewal: Seconds = 3.0
    grace: Annotated[float, Meta(ge=0, le=10**9)] = 25.0  #: for running tasks after SIGTERM
    max_deliveries: Count = 5
    park_after: Seconds = 60.0  #: of running, where the broker's server takes back what is held for long (RabbitMQ)
    max_tasks_per_child: Annotated[int, Meta(ge=0, le=10**9)] = 0  #: 0: no limit
    max_memory_per_child: Annotated[int, Meta(ge=0)] = 0  #: bytes; 0: no limit

    result_expires: Seconds = 7 * 86400.0
    max_records: Count = 1_000_000  #: finished ones that are kept
    task_log: Annotated[int, Meta(ge=0, le=10**9)] = 64 * 1024  #: bytes of log lines that are kept of a task; 0: none
    max_body: Count = 10_000_000
    max_raw_body: Count = 128 * 1024 * 1024
    json_depth: Annotated[int, Meta(ge=2, le=200)] = 64

    eager: bool = False  #: run tasks at once where they are submitted: for tests
    eager_propagates: bool = False  #: and raise there what they raise

    @classmethod
    def load(
        cls, environ: Mapping[str, str] | None = None, serves: Callable[[str], str] = lambda _: "", **overrides: Any
    ) -> Settings:
        """Overrides that are not None, else the environment (os.environ by default), else the defaults.

        `serves` tells what is wrong with a URL for whoever is to use it; "" if nothing is.

        Raises ConfigurationError with every fault found, each naming its variable or argument.
        """
        environ = os.environ if environ is None else environ
        faults = [unknown("setting", name, _KINDS) for name in overrides if name not in _KINDS]
        values: dict[str, Any] = {}
        for name, kind in _KINDS.items():
            source, given = _given(name, environ, overrides)
            if given is None:
                continue
            try:
                values[name] = msgspec.convert(given, kind, strict=source == name)
            except msgspec.ValidationError as error:
                shown = "" if name in _SECRETS else f"={given!r}"
                faults.append(f"{source}{shown}: {reason(error)}")
        for name in ("broker_url", "result_backend"):
            if name in values:
                values[name] = discovery.completed(values[name], environ)
        sources = {name: _given(name, environ, overrides)[0] for name in _KINDS}
        settings = _placed(cls(**values), sources, serves, faults)
        if faults:
            raise ConfigurationError(*faults)
        return settings


_KINDS: Final[dict[str, Any]] = get_type_hints(Settings, include_extras=True)
_WORDS: Final = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_SECRETS: Final = frozenset(each.name for each in fields(Settings) if not each.repr)


def _given(name: str, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> tuple[str, Any]:
    """(what to call its source in an error, the value or None)."""
    if overrides.get(name) is not None:
        value = overrides[name]
        return name, tuple(value) if isinstance(value, list) else value
    for variable in (PREFIX + name.upper(), *_CELERY.get(name, ())):
        text = environ.get(variable, "").strip()
        if text:
            return variable, _read(text, _KINDS[name])
    return name, None


def _read(text: str, kind: Any) -> Any:
    if kind == Texts:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return _WORDS.get(text.lower(), text) if kind is bool else text


def _placed(
    settings: Settings, sources: Mapping[str, str], serves: Callable[[str], str], faults: list[str]
) -> Settings:
    """The rules between fields; relative paths made absolute, the result backend found."""
    urls = {"broker_url": settings.broker_url, "result_backend": settings.result_backend}
    for name, url in urls.items():
        try:
            urls[name] = _checked(name, url, serves)
        except ConfigurationError as error:
            faults.append(f"{sources[name]}: {error}")
    for name, found in access.faults(settings.api_keys, settings.api_rate_limit).items():
        faults += [f"{sources[name]}: {fault}" for fault in found]
    if not urls["result_backend"] and scheme(urls["broker_url"]) not in _NO_RECORDS:
        urls["result_backend"] = urls["broker_url"]
    if settings.eager:
        urls = dict.fromkeys(urls, f"memory://eager-{new_id()}")  # whatever they say; each app its own
    if settings.lease_renewal >= settings.lease:
        faults.append(f"lease_renewal={settings.lease_renewal} must be less than lease={settings.lease}")
    return replace(settings, broker_url=urls["broker_url"], result_backend=urls["result_backend"])


def _checked(name: str, url: str, serves: Callable[[str], str]) -> str:
    if name == "result_backend" and not url:
        return url
    if not scheme(url):
        raise ConfigurationError(f"{redact(url)!r} is not a URL; it starts like sqlite:///, memory:// or redis://")
    if name == "result_backend" and scheme(url) == "rpc":
        raise ConfigurationError(
            "rpc:// answers to the sender only and keeps no records; name a place that does, e.g. sqlite:///x.db "
            "(callers that ask for an rpc answer by reply_to get one in addition)"
        )
    url = absolute(url)
    if fault := serves(url):
        raise ConfigurationError(fault)
    return url
