"""A program that has submitted and then forks, as gunicorn's preloaded applications do: both sides go on submitting."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests import servers
from tests.processes import clean_environment

PROGRAM = """
import os
from penstock import Penstock

app = Penstock("shop")
add = app.task(name="add")(lambda x, y: x + y)

async def depth(submitter):
    return await submitter.backends.broker.depth()

add.delay(0, 0)
child = os.fork()
ids = [add.delay(number, 1).id for number in range(20)]
assert {app.AsyncResult(each).state for each in ids} == {"PENDING"}
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    add.delay(0, 0)
    print(app.portal.call(depth)[0].ready)
"""


def test_both_sides_of_a_fork_submit_on(tmp_path: Path) -> None:
    environment = {**clean_environment(), "PENSTOCK_BROKER_URL": servers.redis().fresh()}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "42\n", "")
