"""Who takes part, in the order of the columns. The first one on each broker is Penstock; the others are compared with
it."""

from __future__ import annotations

from bench.contender import Contender
from bench.contenders.bare_sqlite import BareSQLite
from bench.contenders.huey_sqlite import HueySQLite
from bench.contenders.penstock_sqlite import PenstockSQLite
from bench.contenders.postgres import BarePostgres, PenstockPostgres, PgqueuerPostgres, ProcrastinatePostgres
from bench.contenders.rabbitmq import BareRabbitMQ, CeleryRabbitMQ, DramatiqRabbitMQ, PenstockRabbitMQ, TaskiqRabbitMQ
from bench.contenders.redis import (
    ArdiqRedis,
    BareRedis,
    BullmqRedis,
    CeleryRedis,
    CeleryThreadsRedis,
    DramatiqRedis,
    FastapiTaskiq,
    FlaskCelery,
    HueyRedis,
    PenstockRedis,
    SaqRedis,
    TaskiqRedis,
)

CONTENDERS: tuple[Contender, ...] = (
    PenstockSQLite(), BareSQLite(), HueySQLite(),
    PenstockRedis(), BareRedis(), CeleryRedis(), CeleryThreadsRedis(), HueyRedis(), DramatiqRedis(),
    SaqRedis(), TaskiqRedis(), ArdiqRedis(), BullmqRedis(), FlaskCelery(), FastapiTaskiq(),
    PenstockPostgres(), BarePostgres(), ProcrastinatePostgres(), PgqueuerPostgres(),
    PenstockRabbitMQ(), BareRabbitMQ(), CeleryRabbitMQ(), DramatiqRabbitMQ(), TaskiqRabbitMQ(),
)  # fmt: skip
