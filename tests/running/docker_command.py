"""The program that scripts find as `docker`: hands its command over to the process that has the system."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path

SOCKET = "PENSTOCK_TEST_DOCKER"


def main() -> int:
    """Print the answer; `logs -f` follows the file that the answer names."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(os.environ[SOCKET])
        line.sendall(json.dumps({"words": sys.argv[1:], "folder": str(Path.cwd())}).encode() + b"\n")
        answer = json.loads(line.makefile().readline())
    sys.stdout.write(answer["out"])
    sys.stderr.write(answer["err"])
    if answer.get("follow"):
        _follow(Path(answer["follow"]))
    return int(answer["code"])


def _follow(log: Path) -> None:
    with log.open() as file:
        while log.exists():
            sys.stdout.write(file.read())
            sys.stdout.flush()
            time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
