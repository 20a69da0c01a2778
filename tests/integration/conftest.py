"""Fixtures of the integration ring."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.field import Field
from tests.places import place


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of the field's place: SQLite, unless the test is marked with `on_two`, or names others likewise."""
    name = getattr(request, "param", "sqlite")
    return f"sqlite:///{tmp_path}/field.db" if name == "sqlite" else place(name, request).url


@pytest.fixture
def field(tmp_path: Path, store: str) -> Field:
    """A field with the default settings."""
    return Field(tmp_path, store)


@pytest.fixture
def field_with(tmp_path: Path, store: str) -> Callable[..., Field]:
    """A field with settings of one's own."""

    def make(**settings: Any) -> Field:
        return Field(tmp_path, store, **settings)

    return make
