"""What every ring of the tests shares.

A test may be an `async def`: it runs on an event loop of its own, closed when the test ends. Fixtures stay plain
functions; what must be opened and closed on the loop, a test opens itself with `async with`.
"""

from __future__ import annotations

import asyncio
import inspect

import hypothesis
import pytest

# The same code gets the same verdict, on a slow machine too; to search further: --hypothesis-seed=random.
hypothesis.settings.register_profile("penstock", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("penstock")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    parameters = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in parameters}))
    return True
