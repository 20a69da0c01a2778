"""The environment of the peers: made from requirements.lock when they are first needed, and when that has changed."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

from bench.contender import ROOT

BUILD = ROOT / "build" / "bench"  # not in /tmp, which may be memory, where nothing is ever synced
_HOME = BUILD / "peers"
_REQUIREMENTS = ROOT / "bench" / "requirements.lock"


@cache
def program(name: str) -> Path:
    """A program of the peers' environment, `python` for one."""
    done = _HOME / "installed.txt"
    wanted = _REQUIREMENTS.read_text()
    if not done.exists() or done.read_text() != wanted:
        print(f"Installing {_REQUIREMENTS.relative_to(ROOT)} into {_HOME.relative_to(ROOT)}")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(_HOME)], check=True)
        pip = [str(_HOME / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", str(_REQUIREMENTS)], check=True)
        done.write_text(wanted)
    return _HOME / "bin" / name
