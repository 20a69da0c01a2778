"""What each option of a task or a submission may be: one table, so that every fault is found and worded alike."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from penstock.core.encoding import dumps
from penstock.core.errors import EncodingError
from penstock.core.fault import near, reason
from penstock.core.protocol import RESERVED
from penstock.core.times import iso, parse, unix

Check = Callable[[Any], Any]  #: returns the value to use; raises ValueError that says what it must be

_CLEAN: Final = r"^[^\x00-\x1f\x7f\ud800-\udfff]+\Z"  #: no control characters, no lone surrogates
_CENTURY: Final = 3.2e9  #: seconds
_LATER: Final = "comes in a later version of Penstock; leave it out for now"


def check(given: Mapping[str, Any], table: Mapping[str, Check]) -> tuple[dict[str, Any], dict[str, str]]:
    """(the values to use, the faults by option). None means "not given" unless the table's check takes it."""
    values: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name, value in given.items():
        test = table.get(name)
        if test is None:
            faults[name] = _unknown(name, table)
            continue
        try:
            values[name] = test(value)
        except (ValueError, EncodingError) as error:  # msgspec's ValidationError is a ValueError
            faults[name] = f"{error}"
    return values, faults


def _unknown(name: str, known: Collection[str]) -> str:
    found = near(name, known)
    return "there is no such option" + (f"; did you mean {found[0]}?" if found else "")


def of(kind: Any) -> Check:
    """A check by type, in msgspec's terms: `of(Annotated[int, Meta(ge=0)])`."""
    decode = partial(msgspec.convert, type=kind)

    def test(value: Any) -> Any:
        try:
            return decode(value)
        except msgspec.ValidationError as error:
            raise ValueError(reason(error)) from None

    return test


def later(value: Any) -> Any:
    """The check of an option that is not there yet: absence is all it takes."""
    if value:
        raise ValueError(_LATER)
    return None


def only(wanted: Any, reason: str) -> Check:
    """The check of an option that has one value here."""

    def test(value: Any) -> Any:
        if value is not None and value != wanted:
            raise ValueError(reason)
        return wanted

    return test


def refused(reason: str) -> Check:
    """The check of an option that has no meaning here."""

    def test(_: Any) -> Any:
        raise ValueError(reason)

    return test


def moment(value: Any) -> float | None:
    """A time: datetime (a naive one is UTC) or ISO 8601 text."""
    if value is None:
        return None
    if not isinstance(value, (datetime, str)):
        raise ValueError("expected a datetime or an ISO 8601 text")
    try:
        found = parse(value) if isinstance(value, str) else unix(value)
        iso(found)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"expected a datetime or an ISO 8601 text: {error}") from error
    return found


def delay(value: Any) -> float | None:
    """Seconds from now, negative ones included; a hundred years at most."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -_CENTURY <= value <= _CENTURY:
        raise ValueError("expected a number of seconds, not more than a hundred years")
    return float(value)


def expiry(value: Any) -> float | datetime | None:
    """Seconds from now (a float), or a time (a datetime)."""
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return delay(value)
    try:
        return datetime.fromtimestamp(moment(value) or 0.0, UTC)
    except ValueError as error:
        raise ValueError(f"expected a number of seconds, {str(error).removeprefix('expected ')}") from error


def headers(value: Any) -> dict[str, Any]:
    """The user's own headers: an object whose names are not the protocol's."""
    found = of(dict[str, Any])({} if value is None else value)
    taken = sorted(RESERVED.intersection(found))
    if taken:
        raise ValueError(f"{', '.join(taken)}: the message protocol has headers of these names")
    dumps(found, where="headers")
    return dict(found)


def exceptions(value: Any) -> tuple[type[BaseException], ...]:
    """One exception class or several."""
    many = tuple(value) if isinstance(value, (tuple, list, set, frozenset)) else (value,)
    if not all(isinstance(each, type) and issubclass(each, BaseException) for each in many):
        raise ValueError("expected exception classes")
    return many


text = of(Annotated[str, Meta(min_length=1, max_length=255, pattern=_CLEAN)])
maybe_text = of(Annotated[str, Meta(min_length=1, max_length=255, pattern=_CLEAN)] | None)
priority = of(Annotated[int, Meta(ge=0, le=9)] | None)
count = of(Annotated[int, Meta(ge=0, le=2**31)])
maybe_count = of(Annotated[int, Meta(ge=0, le=2**31)] | None)
seconds = of(Annotated[float, Meta(gt=0, le=_CENTURY)])
maybe_seconds = of(Annotated[float, Meta(gt=0, le=_CENTURY)] | None)
flag = of(bool)
maybe_flag = of(bool | None)
