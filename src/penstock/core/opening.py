"""How a broker or a result backend is made for a URL: the same everywhere, on its own kind of driver."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from penstock.core.step import Driver

D = TypeVar("D", bound=Driver)
D_co = TypeVar("D_co", bound=Driver, covariant=True)
T = TypeVar("T")


class OpenDriver(Protocol[D_co]):
    """Makes an unopened driver for a URL. Raises ConfigurationError for a wrong one."""

    def __call__(
        self, url: str, *, settings: Any = None, blocking: bool = False, clock: Callable[[], float] = time.time
    ) -> D_co: ...


class Opener(Generic[D, T]):
    """Makes an unopened broker or result backend for the place that a URL names.

    `make` gets the driver and the settings (core.settings.Settings, None for the defaults).
    """

    def __init__(self, kind: type[D], open_driver: OpenDriver[D], make: Callable[[D, Any], T]) -> None:
        self._kind = kind
        self._open_driver = open_driver
        self._make = make

    def __call__(
        self,
        url: str,
        *,
        settings: Any = None,
        driver: Driver | None = None,
        blocking: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> T:
        """On `driver` if that is given, else on one of its own. Raises ConfigurationError for a wrong URL."""
        if driver is None:
            driver = self._open_driver(url, settings=settings, blocking=blocking, clock=clock)
        assert isinstance(driver, self._kind)
        return self._make(driver, settings)
