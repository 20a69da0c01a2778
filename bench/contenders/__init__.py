"""Who takes part, in the order of the columns. The first one is Penstock; the others are compared with it."""

from __future__ import annotations

from bench.contender import Contender
from bench.contenders.bare_sqlite import BareSQLite
from bench.contenders.huey_sqlite import HueySQLite
from bench.contenders.penstock_sqlite import PenstockSQLite

CONTENDERS: tuple[Contender, ...] = (PenstockSQLite(), BareSQLite(), HueySQLite())
