"""Connections to PostgreSQL. asyncpg comes with the extra `penstock[postgres]`.

driver        Postgres, what brokers and result backends hold: steps, run, listen
address       the URL
link          single connections: made at first use, made anew after they broke
transactions  group commit and reads
parts         several steps as one statement
ears          listeners: LISTEN, and who sleeps
schema        migrations
enlist        statements in transactions of others
checkup       what `doctor` tells
errors        PostgreSQL's errors as ours
"""

from __future__ import annotations

from importlib.util import find_spec

from penstock.core.errors import ConfigurationError

if find_spec("asyncpg") is None:
    raise ConfigurationError(
        "postgresql:// needs the package asyncpg; install it with: pip install 'penstock[postgres]'"
    )

from penstock.drivers.postgres.driver import Postgres, open_driver
from penstock.drivers.postgres.link import Session, columns
from penstock.drivers.postgres.parts import Part, Statement

__all__ = ["Part", "Postgres", "Session", "Statement", "columns", "open_driver"]
