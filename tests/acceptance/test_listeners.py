"""500 listeners on one API process, each on its own task, under load: none misses its task's end.

What they cost is measured by `python -m bench.listeners`, which this test shares its load with.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.listeners import APP, watched_load
from tests.processes import free_port, launched


@pytest.mark.alone
def test_none_of_500_listeners_misses_its_tasks_end_while_others_run(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    port = free_port()
    worker = ("worker", "app.py", "--processes", "1", "-Q", "default,held")
    with launched("api", "app.py", "--port", str(port), cwd=tmp_path) as api, launched(*worker, cwd=tmp_path) as crew:
        api.prints(f":{port}")
        crew.prints("ready")
        accepted, seen = asyncio.run(watched_load(port, 500, seconds=4, rate=1_000))
    assert accepted >= 3_900
    assert seen == 500
