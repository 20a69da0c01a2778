"""A Flask application with a factory: `flask penstock …` is `penstock …` for it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.acceptance.commands import CommandLine
from tests.processes import Launched, clean_environment, launched

FLASK = str(Path(sys.executable).with_name("flask"))

PAGE = Path(__file__).parents[2] / "docs" / "flask.md"
#: The application of the documentation.
(SHOP,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def flask(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FLASK, *arguments],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


def test_a_worker_runs_the_tasks_of_a_factory_in_its_context(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    worker = Launched([FLASK, "--app", "shop", "penstock", "worker", "--processes", "1"], tmp_path)
    try:
        done = flask(tmp_path, "--app", "shop", "penstock", "submit", "greet", '["Ada"]', "--wait", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["result"] == "hello, Ada"
        assert (tmp_path / "shop.db").exists(), "the place that the config names"
        assert worker.stop() == 0, worker.printed()
    finally:
        worker.clean()


def test_the_application_is_found_as_flask_finds_it(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SHOP)
    listed = flask(tmp_path, "penstock", "submit", "greet", '["Ada"]', "--json")
    assert listed.returncode == 0, listed.stderr
    assert "penstock" in flask(tmp_path, "--help").stdout
    line = CommandLine(tmp_path, {"FLASK_APP": "app:create_app()"})
    with launched("worker", "penstock.integrations.flask:app", cwd=tmp_path, env=line.env):
        shown = line.ok("submit", "--app", "penstock.integrations.flask:app", "greet", '["Bob"]', "--wait", "--json")
        assert shown.json["result"] == "hello, Bob"


def test_what_is_missing_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "bare.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    line = CommandLine(tmp_path, {"FLASK_APP": "bare"})
    told = line("worker", "penstock.integrations.flask:app")
    assert told.code == 1
    assert told.err.startswith("error: ")
    assert "init_app" in told.err
    assert told.err.count("\n") == 1
    told = line("worker", "penstock.integrations.flask:app", FLASK_APP="nowhere")
    assert told.code == 1
    assert "nowhere" in told.err
    assert "Traceback" not in told.err
    (tmp_path / "flask.py").write_text("raise ModuleNotFoundError('no flask', name='flask')\n")  # as if not installed
    told = line("worker", "penstock.integrations.flask:app", PYTHONPATH=str(tmp_path))
    assert "pip install 'penstock[flask]'" in told.err
    assert told.err.count("\n") == 1
