"""The app whose API is fuzzed: arguments of many kinds, every ending, a schedule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from penstock import Penstock

app = Penstock("fuzzed")


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@dataclass
class Line:
    sku: Annotated[str, Meta(min_length=1, max_length=12)]
    count: Annotated[int, Meta(ge=1, le=100)] = 1
    size: Size = Size.SMALL


@app.task
def add(x: int, y: int = 1) -> int:
    """Add two numbers."""
    return x + y


@app.task
def fail(text: str) -> None:
    raise ValueError(text)


@app.task
async def place(lines: list[Line], due: datetime | None = None, customer: UUID | None = None) -> dict[str, Any]:
    return {"lines": len(lines), "due": due, "customer": customer}


@app.task(name="prices/of the day")
def prices(price: Decimal, within: timedelta | None = None, kind: Literal["net", "gross"] = "net") -> dict[str, object]:
    return {"price": price, "within": within is not None, "kind": kind}


@app.task
def anything(*values: Any, **named: Any) -> int:
    return len(values) + len(named)


@app.task(bind=True)
def nested(self: Any) -> str:
    """Submit another task, so that there is one with children."""
    self.progress(0.5, "half")
    return str(add.delay(1, 2).id)


@app.periodic(every=3600)
def hourly() -> None: ...
