from __future__ import annotations

from pathlib import Path

import pytest

from penstock.cli import dev, example
from penstock.client.app import Penstock


def test_the_sample_call_fills_every_required_argument() -> None:
    app = Penstock("shop", broker="memory://")

    @app.task
    def greet(name: str, times: int, loud: bool, price: float, polite: bool = True) -> None: ...

    assert example.body(app) == {"task": "greet", "args": ["text", 3, True, 0.5]}


def test_a_task_whose_arguments_cannot_be_made_up_is_passed_over() -> None:
    app = Penstock("shop", broker="memory://")

    @app.task
    def ship(address: Path | int) -> None: ...

    @app.task
    def sweep() -> None: ...

    assert example.body(app) == {"task": "sweep"}


@pytest.mark.parametrize(
    ("app_path", "folder"),
    [("app.py", "."), ("deep/er/app.py:shop", "deep/er"), ("shop.jobs:app", "shop"), ("elsewhere:app", ".")],
)
def test_the_folder_of_the_app_is_watched(
    app_path: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path)
    assert dev.folder(app_path) == (tmp_path / folder).resolve()
