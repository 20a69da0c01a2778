"""What is to be run, and with what around it: found and checked before the first message comes."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from penstock.core.errors import ConfigurationError

#: What a program sees of the environment unless it is told otherwise: where things are, who it is, its language.
USUAL: Final = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_*", "TZ", "TMPDIR", "TERM")
_LOOK: Final = 256  # bytes at the beginning of a file that tell what it is
_MOST: Final = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a program may use, each process of it; 0: no limit."""

    memory: int = 0  #: bytes of address space
    cpu: int = 0  #: seconds of CPU
    nice: int = 0  #: added to the niceness, 0 to 19

    def __post_init__(self) -> None:
        faults = [
            f"{name}={value!r}: must be a whole number from 0 to {most}"
            for name, value, most in (("memory", self.memory, _MOST), ("cpu", self.cpu, _MOST), ("nice", self.nice, 19))
            if type(value) is not int or not 0 <= value <= most
        ]
        if faults:
            raise ConfigurationError(*faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """An executable and its surroundings."""

    path: str
    argv: tuple[str, ...]  #: what it sees as its own name, and its arguments
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""  #: its working directory; "": the current one
    limits: Limits = field(default_factory=Limits)

    @property
    def name(self) -> str:
        """For people."""
        return Path(self.argv[0]).name


def find(name: str, folder: str = "", path: str | None = None) -> str:
    """The executable of that name, by the PATH unless the name has a slash. Raises ConfigurationError, one line."""
    if os.sep not in name:
        found = shutil.which(name, path=path)
        if found is None:
            raise ConfigurationError(f"there is no program {name!r} on the PATH")
    else:
        found = os.path.join(folder or os.getcwd(), name)  # noqa: PTH118, PTH109 - "./x" is to stay as it was written
    if fault := _fault(found):
        raise ConfigurationError(f"{name}: {fault}")
    return found


def environment(
    allowed: Iterable[str] | None, given: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What a program sees: of `environ` (this process's) the usual and `allowed` names, which may have *; None: all.

    And what is `given`.
    """
    environ = os.environ if environ is None else environ
    names = ("*",) if allowed is None else (*USUAL, *allowed)
    seen = {name: value for name, value in environ.items() if any(fnmatchcase(name, each) for each in names)}
    return {**seen, **(given or {})}


def checked_folder(folder: str | os.PathLike[str] | None) -> str:
    """A working directory as an absolute path; "" for none. Raises ConfigurationError."""
    if folder is None:
        return ""
    path = Path(folder).expanduser().absolute()
    if not path.is_dir():
        raise ConfigurationError(f"there is no folder {path}")
    return str(path)


def texts(values: Sequence[str]) -> tuple[str, ...]:
    """A program and its arguments as texts. Raises ConfigurationError for what is none."""
    if isinstance(values, str) or not values or not all(isinstance(each, str) for each in values):
        raise ConfigurationError(f"expected a program and its arguments as a list of texts, got {values!r}")
    if any("\0" in each for each in values):
        raise ConfigurationError("an argument of a program cannot have a NUL character")
    return tuple(values)


def _fault(path: str) -> str:
    """Why this file cannot be run; "" if it can."""
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            return "is a folder, not a program"
        if not os.access(path, os.X_OK):
            return f"is not executable; chmod +x {path}"
        if not os.access(path, os.R_OK):
            return ""
        with Path(path).open("rb") as file:
            return _script_fault(file.read(_LOOK))
    except OSError as error:
        return (error.strerror or "cannot be read").lower()


def _script_fault(head: bytes) -> str:
    """Why a file that begins like this cannot be run; "" for what the kernel knows, as far as one can tell."""
    if not head.startswith(b"#!"):
        return "" if b"\0" in head else "is a script without a #! line, so nobody knows what runs it"
    words = head.splitlines()[0][2:].split()
    interpreter = os.fsdecode(words[0]) if words else ""
    return "" if Path(interpreter).is_file() else f"its #! line names {interpreter!r}, which is not there"
