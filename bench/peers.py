"""The environments of the peers: made from their lock files when they are first needed, and when those have changed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from bench.contender import ROOT

BUILD = ROOT / "build" / "bench"  # not in /tmp, which may be memory, where nothing is ever synced
_PYTHON, _NODE = BUILD / "peers", BUILD / "node"
_REQUIREMENTS = ROOT / "bench" / "requirements.lock"
_PACKAGES = ROOT / "bench" / "node"


class MissingError(Exception):
    """What this machine lacks, in one line."""


@cache
def program(name: str) -> Path:
    """A program of the peers' environment, `python` for one."""
    _made(_PYTHON, _REQUIREMENTS, _install_python)
    return _PYTHON / "bin" / name


@cache
def node() -> tuple[str, Path]:
    """The program, and the folder that has what bench/node/package-lock.json names.

    Raises MissingError where there is no Node.
    """
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        raise MissingError("it needs Node and npm: apt-get install nodejs npm")
    _made(_NODE, _PACKAGES / "package-lock.json", lambda: _install_node(npm))
    return found, _NODE / "node_modules"


def _made(home: Path, lock: Path, install: Callable[[], None]) -> None:
    """Have `home` hold what `lock` names."""
    done, wanted = home / "installed.txt", lock.read_text()
    if done.exists() and done.read_text() == wanted:
        return
    print(f"Installing {lock.relative_to(ROOT)} into {home.relative_to(ROOT)}", flush=True)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    install()
    done.write_text(wanted)


def _install_python() -> None:
    subprocess.run([sys.executable, "-m", "venv", str(_PYTHON)], check=True)
    pip = [str(_PYTHON / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pinned = _PYTHON / "requirements.txt"
    pinned.write_text(_REQUIREMENTS.read_text().replace(" ; python_full_version >= '3.12'", ""))
    options = ["--no-deps", "--require-hashes", "--ignore-requires-python"]
    subprocess.run([*pip, *options, "-r", str(pinned)], check=True)
    if sys.version_info < (3, 12):
        _without_type_parameters(next(_PYTHON.glob("lib/python3*/site-packages/ardiq")))


def _without_type_parameters(package: Path) -> None:
    """ArdiQ's wheel runs on 3.9 and newer; only the type parameters in its source (PEP 695) need 3.12.

    They say nothing to the interpreter, so they are taken out: else it could not be measured beside us on 3.11.
    """
    for file in package.glob("*.py"):
        text = file.read_text()
        file.write_text(re.sub(r"^((?: *def|class) \w+)\[\*\*P, R\]", r"\1", text, flags=re.MULTILINE))


def _install_node(npm: str) -> None:
    for file in _PACKAGES.glob("package*.json"):
        shutil.copy(file, _NODE)
    command = [npm, "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
    subprocess.run(command, cwd=_NODE, check=True)
