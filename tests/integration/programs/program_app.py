"""Programs as tasks, for the tests of a real worker."""

import os
import sys

from penstock import Penstock

app = Penstock("programs")

ANSWERS = """
import json, sys, time
time.sleep(0.1)  # slow to start
for line in sys.stdin:
    print(json.dumps(json.loads(line)["x"] + 1), flush=True)
"""

app.program("speaks", ["sh", "-c", "echo '::progress 0.4 half way' >&2; echo 'a line of it' >&2; sleep 2; cat"])
app.program("hangs", ["sh", "-c", "trap '' TERM; sleep 600 & echo $! >>pids; echo $$ >>pids; wait; wait"])
app.program("one", [sys.executable, "-c", ANSWERS], parameters={"x": int})
app.program("lasting", [sys.executable, "-c", ANSWERS], parameters={"x": int}, pool=1)
if "MISSING" in os.environ:
    app.program("missing", ["no-such-program"])
    app.program("elsewhere", ["no-such-program-either"], queue="other")
