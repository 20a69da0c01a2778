"""The fixtures in a project of a user's own; and every example of docs/testing.md."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Pytest as a user of the project in `folder` starts it."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *arguments]
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PENSTOCK_", "PYTEST"))}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_the_examples_of_the_page_are_right(tmp_path: Path) -> None:
    blocks = re.findall(r"^```\w+\n# (\S+)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == PAGE.read_text().count("\n```python\n") + 1, "each block names its file"
    for name, text in blocks:
        (tmp_path / name).write_text(text)
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout
    expected = sum(text.count("\ndef test_") for _, text in blocks)
    assert f"{expected} passed" in done.stdout
    assert not list(tmp_path.glob("*.db*")), "no example touches a database"


def test_the_app_may_come_from_a_fixture_of_ones_own_and_the_missing_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "import pytest\nfrom penstock import Penstock\n\n"
        "@pytest.fixture\ndef penstock_app():\n    return Penstock('own', broker='sqlite:///own.db')\n"
    )
    (tmp_path / "test_own.py").write_text(
        "def test_it(penstock_app, penstock_drain, penstock_submitted):\n"
        "    penstock_app.send_task('x')\n"
        "    assert len(penstock_drain()) == len(penstock_submitted) == 1\n"
    )
    done = run(tmp_path)
    assert "1 passed" in done.stdout, done.stdout
    (tmp_path / "conftest.py").unlink()
    done = run(tmp_path)
    assert "name the app in pytest's configuration, penstock_app = module:attr" in done.stdout


def test_loading_the_plugin_imports_next_to_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, pytest; sys.path.insert(0, '.');"
        "before = set(sys.modules); import penstock.testing.plugin;"
        "print(sorted(name for name in set(sys.modules) - before if name.startswith('penstock')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "['penstock', 'penstock.testing', 'penstock.testing.plugin']"


def test_each_fixture_says_what_it_is_for(tmp_path: Path) -> None:
    listing = run(tmp_path, "--fixtures").stdout
    for name in ("app", "memory", "drain", "submitted", "eager"):
        assert f"penstock_{name} -- " in listing
        assert f"`penstock_{name}`" in PAGE.read_text()
