"""The keys' contract in memory, and the sweep of everything that has a time to live."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penstock.core.results import Keys
from penstock.core.step import Step
from penstock.drivers.memory import Memory, Store, Table
from penstock.results.memory.mailbox import letters
from penstock.results.memory.rows import Rows
from penstock.results.memory.workers import entries

#: seconds for which the feed is kept
_FEED = 3600.0


@dataclass(frozen=True, slots=True)
class Kept:
    """A value that is there until then (unix seconds)."""

    value: Any
    until: float


class MemoryKeys(Keys):
    """Keys and locks in one store of this process."""

    def __init__(self, driver: Memory) -> None:
        self._driver = driver

    def put(self, key: str, value: bytes, seconds: float) -> Step[None]:
        """Keep a value."""

        def put(store: Store) -> None:
            _keys(store)[key] = self._kept(value, seconds)

        return self._driver.write(put)

    def add(self, key: str, value: bytes, seconds: float) -> Step[bytes | None]:
        """Keep a value where none is."""

        def add(store: Store) -> bytes | None:
            found: bytes | None = self._value(_keys(store), key)
            if found is None:
                _keys(store)[key] = self._kept(value, seconds)
            return found

        return self._driver.write(add)

    def swap(self, key: str, old: bytes, new: bytes, seconds: float) -> Step[bool]:
        """Replace what is as expected."""

        def swap(store: Store) -> bool:
            if self._value(_keys(store), key) != old:
                return False
            _keys(store)[key] = self._kept(new, seconds)
            return True

        return self._driver.write(swap)

    def get(self, key: str) -> Step[bytes | None]:
        """Read a value."""
        return self._driver.read(lambda store: self._value(_keys(store), key))

    def delete(self, key: str) -> Step[None]:
        """Forget a value."""

        def delete(store: Store) -> None:
            _keys(store).pop(key, None)

        return self._driver.write(delete)

    def lock(self, name: str, owner: str, seconds: float) -> Step[bool]:
        """Take or prolong a lock."""

        def lock(store: Store) -> bool:
            if self._value(_locks(store), name) not in (None, owner):
                return False
            _locks(store)[name] = self._kept(owner, seconds)
            return True

        return self._driver.write(lock)

    def unlock(self, name: str, owner: str) -> Step[None]:
        """Give up one's own lock."""

        def unlock(store: Store) -> None:
            if self._value(_locks(store), name) == owner:
                del _locks(store)[name]

        return self._driver.write(unlock)

    def sweep(self, limit: int = 10_000) -> Step[int]:
        """Delete what has outlived its time."""

        def sweep(store: Store) -> int:
            now = self._driver.clock()
            mortal: list[Table[Any, Any]] = [_keys(store), _locks(store), letters(store), entries(store)]
            gone = sum(_drop(table, limit, lambda kept: kept.until <= now) for table in mortal)
            feed = Rows(store, now).feed
            newest = max(feed, default=0)  # stays: it tells where the feed stands
            return gone + _drop(feed, limit, lambda line: line.at <= now - _FEED and line.seq != newest)

        return self._driver.write(sweep)

    def _kept(self, value: Any, seconds: float) -> Kept:
        return Kept(value, self._driver.clock() + seconds)

    def _value(self, table: Table[str, Kept], key: str) -> Any:
        found = table.get(key)
        return found.value if found is not None and found.until > self._driver.clock() else None


def _keys(store: Store) -> Table[str, Kept]:
    return store.table("keys")


def _locks(store: Store) -> Table[str, Kept]:
    return store.table("locks")


def _drop(table: Table[Any, Any], limit: int, over: Callable[[Any], bool]) -> int:
    gone = [key for key in sorted(table) if over(table[key])][:limit]
    for key in gone:
        del table[key]
    return len(gone)
