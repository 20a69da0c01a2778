"""What goes into transactions of others: all of it, or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.drivers.postgres import Session, open_driver


def test_a_step_that_has_no_statement_for_others_is_not_left_out() -> None:
    driver = open_driver("postgresql://localhost/shop")

    async def work(session: Session) -> Any:
        raise AssertionError(session)

    with pytest.raises(AssertionError, match="without a statement"):
        driver.enlist([driver.write(work)], object())
