"""What a type checker sees: a task keeps the signature of its function. Linting reads this; running it does nothing."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, assert_type

from penstock import AsyncResult, Penstock, Task


def test_a_result_has_the_type_that_the_function_returns(app: Penstock) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    @app.task(max_retries=3)
    def half(x: int) -> float:
        return x / 2

    @app.task(bind=True)
    def own(self: Task, x: int) -> str:
        return f"{self.name}{x}"

    @app.task
    async def fetch(url: str) -> dict[str, int]:
        return {url: 1}

    assert_type(add.delay(1, 2), AsyncResult[int])
    assert_type(add.delay(1, 2).result, Any)
    assert_type(half.delay(x=1), AsyncResult[float])
    assert_type(own.delay(1), AsyncResult[str])
    assert_type(fetch.delay("x"), AsyncResult[dict[str, int]])
    assert_type(fetch.adelay("x"), Coroutine[Any, Any, AsyncResult[dict[str, int]]]).close()
