"""What the acceptance tests of the command line share: a folder with an app, and a worker that serves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.commands import APP, CommandLine
from tests.processes import launched


@pytest.fixture
def shop(tmp_path: Path) -> CommandLine:
    """The command line in a folder with app.py, no worker."""
    (tmp_path / "app.py").write_text(APP)
    return CommandLine(tmp_path)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The command line in a folder with app.py, and a worker that runs its tasks; shared by the tests of a file."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "app.py").write_text(APP)
    shop = CommandLine(folder)
    with launched("worker", "app.py", cwd=folder):
        outcome = shop("submit", "--app", "app.py", "add", "[1, 1]", "--wait", "--timeout", "60")
        assert outcome.code == 0, outcome
        yield shop
