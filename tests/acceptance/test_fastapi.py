"""The application of docs/fastapi.md, on uvicorn, with a worker."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import httpx

from tests.processes import Launched, eventually, free_port, launched, listens

PAGE = Path(__file__).parents[2] / "docs" / "fastapi.md"


def test_the_application_of_the_documentation(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "shop.py").write_text(code)
    port = free_port()
    server = Launched([sys.executable, "-m", "uvicorn", "shop:api", "--port", str(port)], tmp_path)
    try:
        eventually(lambda: listens(port))
        with (
            launched("worker", "shop:queue", "--processes", "1", cwd=tmp_path),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
        ):
            task_id = client.post("/orders/7").json()["task_id"]
            done = eventually(lambda: (one := client.get(f"/queue/tasks/{task_id}").json())["finished_at"] and one)
            assert done["result"] == "shipped 7"
            waited = client.post("/queue/tasks/ship", json={"number": 8}, headers={"prefer": "wait=30"})
            assert (waited.status_code, waited.json()["result"]) == (200, "shipped 8")
            assert client.get("/queue/docs").status_code == 200
        server.stop()
        assert "Application shutdown complete" in server.printed()
        assert "Traceback" not in server.printed()
    finally:
        server.clean()
