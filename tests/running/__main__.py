"""`python -m tests.running FOLDER`: starts an example on this machine, and tells what to try. Ctrl-C ends it."""

from __future__ import annotations

import argparse
import re
import signal
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType

from penstock.deploy.documents import parse_scale
from tests import servers
from tests.running import docker, files
from tests.running.system import System

#: what an example may have, the first of them is started
KINDS = ("compose.yaml", "marathon.json", "manifests", "build.sh")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.running", description=__doc__)
    parser.add_argument("example", type=Path, help="a folder in examples/, or a file in one")
    parser.add_argument("--scale", action="append", default=[], metavar="worker=5", help="instances to start with")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupted)
    path = given.example
    if path.is_dir():
        path = next((path / kind for kind in KINDS if (path / kind).exists()), path)
    folder = path if path.is_dir() and path.name != "manifests" else path.parent
    variables = files.made_up(folder)
    try:
        with tempfile.TemporaryDirectory(prefix="penstock-volumes-") as volumes:
            print(f"Starting {path} …", flush=True)
            if path.name == "build.sh":
                system, built = docker.machine(published=True)
                with system, built:
                    built.script(path)
                    return _serve(system, folder, variables)
            with System(files.read(path, variables, Path(volumes)), published=True) as system:
                for name, count in parse_scale(given.scale).items():
                    system.scale(name, count)
                return _serve(system, folder, variables)
    except (servers.NotInstalledError, OSError) as error:  # a port that is in use, a file that is not there
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def _serve(system: System, folder: Path, variables: dict[str, str]) -> int:
    """Tell what runs and what to try; then do what is typed, until the end."""
    for name, value in variables.items():
        print(f"  {name}={value}")
    print("  running: " + ", ".join(f"{name} x {len(system[name])}" for name in system.units))
    readme = (folder / "README.md").read_text()
    found = re.search(r"^## Try it\n.*?```sh\n(.*?)```", readme, re.DOTALL | re.MULTILINE)
    lines = found[1] if found else readme
    for name, value in variables.items():
        lines = lines.replace(f"${name}", value)
    print(f"\nTry:\n\n{lines}")
    worker = next(name for name in system.units if "worker" in name or "celery" in name)
    print(f"Type {worker}=5 to have five workers, or press Ctrl-C to end it all.", flush=True)
    for line in sys.stdin:
        name, _, count = line.strip().partition("=")
        if name in system.units and count.isdecimal():
            system.scale(name, int(count))
            print(f"{name} x {count}", flush=True)
        elif line.strip():
            print(f"{line.strip()}: write NAME=COUNT, of {', '.join(system.units)}", flush=True)
    threading.Event().wait()  # there is nobody to type
    return 0


def _interrupted(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
