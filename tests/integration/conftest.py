"""Fixtures of the integration ring."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.field import Field


@pytest.fixture
def field(tmp_path: Path) -> Field:
    """A field with the default settings."""
    return Field(tmp_path)


@pytest.fixture
def field_with(tmp_path: Path) -> Callable[..., Field]:
    """A field with settings of one's own."""

    def make(**settings: Any) -> Field:
        return Field(tmp_path, **settings)

    return make
