"""`import penstock`: the public names."""

from __future__ import annotations

import subprocess
import sys

import pytest

import penstock
from penstock.core import errors


def test_every_public_name_is_there() -> None:
    for name in penstock.__all__:
        assert getattr(penstock, name) is not None
    assert set(penstock.__all__) <= set(dir(penstock))


def test_every_error_a_user_can_meet_is_public() -> None:
    inner = {"DecodingError", "BadMessage", "LeaseLost"}  # those of workers and back ends among themselves
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert kinds - inner == {name for name in penstock.__all__ if name in kinds}


def test_the_version_is_the_packages() -> None:
    assert penstock.__version__.count(".") >= 2


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Penstok"):
        _ = penstock.Penstok  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["chain", "group", "chord", "signature"])
def test_workflows_say_that_they_come_later(name: str) -> None:
    with pytest.raises(ImportError, match="come in a later version"):
        exec(f"from penstock import {name}")  # noqa: S102 - a plain import statement of each name


def test_the_bare_import_brings_in_no_part_of_penstock() -> None:
    code = "import sys, penstock; print([name for name in sys.modules if name.startswith('penstock.')])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
