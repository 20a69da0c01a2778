"""The README's and the quickstart's own lines, run as they stand there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.commands import CommandLine
from tests.processes import eventually, free_port, launched

ROOT = Path(__file__).parents[2]


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


def app_of(page: str) -> str:
    """The one block that makes an app."""
    (app,) = (block for block in blocks(page, "python") if "Penstock(" in block)
    return app


@pytest.fixture
def served(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[CommandLine, list[str]]]:
    """`penstock dev` with the page's app, and the page's lines that submit its tasks, at its address."""
    (tmp_path / "tasks.py").write_text(app_of(request.param))
    port = str(free_port())
    lines = [line for block in blocks(request.param, "sh") for line in block.splitlines() if "-X POST" in line]
    with launched("dev", "--port", port, cwd=tmp_path) as dev:
        dev.prints("Ctrl-C ends it all")
        yield CommandLine(tmp_path), [line.partition("  #")[0].replace("8000", port, 1) for line in lines]


def result(shop: CommandLine, task_id: str) -> object:
    record = eventually(lambda: (one := shop.ok("show", task_id, "--json").json)["finished_at"] and one)
    assert record["status"] == "SUCCESS"
    return record["result"]


@pytest.mark.parametrize("served", ["README.md"], indirect=True)
def test_the_readmes_own_task_runs_and_a_wrong_argument_is_named(served: tuple[CommandLine, list[str]]) -> None:
    shop, (_, right, wrong) = served
    assert result(shop, curl(right)["task_id"]) == "Hello Ada, Hello Ada"
    refused = curl(wrong)
    assert refused["status"] == 422
    assert refused["errors"][0]["field"] == "name"


@pytest.mark.parametrize("served", ["docs/quickstart.md"], indirect=True)
def test_the_quickstarts_task_runs(served: tuple[CommandLine, list[str]]) -> None:
    shop, (line,) = served
    assert result(shop, curl(line)["task_id"]) == 5
    assert shop.ok("submit", "add", "[2, 3]", "--wait").json == 5


def curl(line: str) -> dict[str, Any]:
    """The JSON that a curl line prints, after the head that -i shows."""
    done = subprocess.run(
        ["/bin/sh", "-c", line.replace("curl ", "curl -sS ", 1)], capture_output=True, text=True, check=True
    )
    answer: dict[str, Any] = json.loads(done.stdout.rpartition("\n\n")[2] if " -i " in line else done.stdout)
    return answer


ASYNC = 'await (await greet.adelay("Ada")).aget()'


def test_the_readmes_python_lines_give_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(app_of("README.md"))
    (lines,) = (block for block in blocks("README.md", "python") if "greet.delay" in block)
    call = re.search(r"^(greet\.delay.*?)  +# \"Hello Ada\"$", lines, re.MULTILINE)
    assert call is not None
    assert f"\n{ASYNC}\n" in lines
    program = f"""
import asyncio
from tasks import greet

async def main():
    return {ASYNC}

print({call[1]}, asyncio.run(main()), sep=", ")
"""
    with launched("worker", "tasks.py", cwd=tmp_path) as worker:
        worker.prints("ready:")
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.stdout == "Hello Ada, Hello Ada\n", done.stderr


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md", "docs/cli.md", "docs/configuration.md"])
def test_links_lead_to_files_that_exist(page: str) -> None:
    folder = (ROOT / page).parent
    links = re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text())
    assert [link for link in links if not (folder / link).exists()] == []
