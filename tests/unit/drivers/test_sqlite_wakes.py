"""The writers' side of wake-ups: when the folder of listeners is read again."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from penstock.drivers.sqlite.wake import Wakes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def stamp(folder: Path, seconds: float) -> None:
    """Give a folder a time of change, as a coarse clock of a file system does."""
    os.utime(folder, ns=(int(seconds * 1e9),) * 2)


def test_a_change_within_the_same_tick_as_the_reading_is_not_missed(folder: Path) -> None:
    wakes = Wakes(str(folder))
    now = time.time()
    stamp(folder, now)
    assert not wakes.listened()
    os.mkfifo(folder / "mail.1.a")
    stamp(folder, now)
    assert wakes.listened()


def test_an_old_reading_costs_no_second_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wakes = Wakes(str(folder))
    stamp(folder, time.time() - 10)
    assert not wakes.listened()
    monkeypatch.setattr(os, "listdir", pytest.fail)
    assert not wakes.listened()


def test_without_a_folder_nobody_listens(folder: Path) -> None:
    wakes = Wakes(str(folder / "missing"))
    assert not wakes.listened()


def test_names_that_are_being_made_are_no_listeners_yet(folder: Path) -> None:
    os.mkfifo(folder / ".mail.1.a")
    assert not Wakes(str(folder)).listened()
