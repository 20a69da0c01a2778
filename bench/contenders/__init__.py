"""Who takes part, in the order of the columns. The first one on each broker is Penstock; the others are compared with
it."""

from __future__ import annotations

from bench.contender import Contender
from bench.contenders.bare_sqlite import BareSQLite
from bench.contenders.huey_sqlite import HueySQLite
from bench.contenders.penstock_sqlite import PenstockSQLite
from bench.contenders.postgres import PenstockPostgres, ProcrastinatePostgres
from bench.contenders.rabbitmq import DramatiqRabbitMQ, PenstockRabbitMQ
from bench.contenders.redis import BareRedis, CeleryRedis, CeleryThreadsRedis, HueyRedis, PenstockRedis

CONTENDERS: tuple[Contender, ...] = (
    PenstockSQLite(), BareSQLite(), HueySQLite(),
    PenstockRedis(), BareRedis(), CeleryRedis(), CeleryThreadsRedis(), HueyRedis(),
    PenstockPostgres(), ProcrastinatePostgres(),
    PenstockRabbitMQ(), DramatiqRabbitMQ(),
)  # fmt: skip
