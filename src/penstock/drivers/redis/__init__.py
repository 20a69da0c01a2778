"""Connections to Redis. hiredis comes with the extra `penstock[redis]`."""

from __future__ import annotations

from importlib.util import find_spec

from penstock.core.errors import ConfigurationError

if find_spec("hiredis") is None:
    raise ConfigurationError("redis:// needs the package hiredis; install it with: pip install 'penstock[redis]'")

from penstock.drivers.redis.driver import Redis, open_driver

__all__ = ["Redis", "open_driver"]
