"""An app as a user has it: with a file as its database, which no test may touch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.client.app import Penstock


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Penstock]:
    made = Penstock("shop", broker=f"sqlite:///{tmp_path}/penstock.db")
    yield made
    assert list(tmp_path.iterdir()) == [], "the real database was touched"
