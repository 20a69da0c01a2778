"""Which errors are tried again, how often and when (DESIGN §5.1, §5.6). Pure: chance is injected."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from msgspec import UNSET, UnsetType

from penstock.core.errors import Ignore, ProgramRefused, Reject, Retry

UNSAID_LIMIT: Final = 3  #: retries for `autoretry_for` and `self.retry()` where `max_retries` is not given

Exceptions = tuple[type[BaseException], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """A task's rules. `max_retries` None means for ever; UNSET means that nobody gave it."""

    max_retries: int | UnsetType | None = UNSET
    autoretry_for: Exceptions | None = None  #: None: every Exception, once max_retries is given
    dont_autoretry_for: Exceptions = ()
    first: float = 1.0  #: seconds before the first retry
    doubling: bool = True
    longest: float = 600.0  #: seconds
    jitter: bool = True

    def allows(self, exc: BaseException, retries: int) -> bool:
        """Whether a task that was retried `retries` times and now raised `exc` runs once more.

        Retry stands for `self.retry()`: its own `max_retries` comes first, then the task's, then 3.
        """
        if isinstance(exc, Retry):
            limit = self.limit if exc.max_retries is None else exc.max_retries
        elif self._covers(exc):
            unsaid = 0 if self.autoretry_for is None else UNSAID_LIMIT
            limit = unsaid if isinstance(self.max_retries, UnsetType) else self.max_retries
        else:
            return False
        return limit is None or retries < limit

    @property
    def limit(self) -> int | None:
        """How often `self.retry()` may be called; None: for ever."""
        return UNSAID_LIMIT if isinstance(self.max_retries, UnsetType) else self.max_retries

    def delay(self, retries: int, rng: Random) -> float:
        """Seconds until the next attempt of a task that was retried `retries` times before.

        With jitter a random value between half of the full delay and all of it, so that what failed together is spread.
        """
        if not self.doubling:
            return self.first
        full = min(self.longest, self.first * 2.0 ** min(retries, 64))
        return full * (0.5 + rng.random() / 2) if self.jitter else full

    def _covers(self, exc: BaseException) -> bool:
        if isinstance(exc, (Ignore, Reject, ProgramRefused, *self.dont_autoretry_for)):
            return False
        return isinstance(exc, Exception if self.autoretry_for is None else self.autoretry_for)
