from __future__ import annotations

from pathlib import Path

import pytest

from penstock.cli.sources import Sources


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text("1")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "prices.py").write_text("1")
    return tmp_path


def test_nothing_has_changed_at_first_and_a_change_is_told_once(folder: Path) -> None:
    sources = Sources(folder)
    assert sources.changed() == []
    (folder / "lib" / "prices.py").write_text("22")
    assert sources.changed() == [folder / "lib" / "prices.py"]
    assert sources.changed() == []


def test_new_and_removed_files_are_changes(folder: Path) -> None:
    sources = Sources(folder)
    (folder / "app.py").unlink()
    (folder / "lib" / "new.py").write_text("1")
    assert set(sources.changed()) == {folder / "app.py", folder / "lib" / "new.py"}


@pytest.mark.parametrize("name", [".hidden", "__pycache__", "node_modules", "venv/lib"])
def test_other_peoples_code_is_not_watched(folder: Path, name: str) -> None:
    (folder / "venv").mkdir()
    (folder / "venv" / "pyvenv.cfg").write_text("")
    (folder / name).mkdir()
    sources = Sources(folder)
    (folder / name / "x.py").write_text("1")
    (folder / "notes.txt").write_text("1")
    assert sources.changed() == []


def test_a_broken_link_does_not_end_the_watch(folder: Path) -> None:
    (folder / "gone.py").symlink_to(folder / "nowhere")
    assert Sources(folder).changed() == []
