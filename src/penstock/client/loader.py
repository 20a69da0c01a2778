"""From the APP of a command line to the app: `module:attr`, or `path/file.py[:attr]`; attr defaults to `app`."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from penstock.client.app import Penstock
from penstock.core.errors import ConfigurationError, PenstockError


def load_app(path: str) -> Penstock:
    """Import the app that `path` names. Raises ConfigurationError with one line that says what to do.

    The current directory, or the one above the file's outermost package, becomes importable, as with `python -m`.
    """
    source, attribute = _split(path)
    module = _module(source)
    found = _attribute(module, attribute)
    if isinstance(found, Penstock):
        with _telling(source):
            found.load()
        return found
    others = [name for name, value in vars(module).items() if isinstance(value, Penstock)]
    hint = f"; did you mean {source}:{others[0]}?" if others else ""
    if found is None:
        raise ConfigurationError(f"{source} has no {attribute!r}{hint}")
    raise ConfigurationError(f"{source}:{attribute} is a {type(found).__name__}, not a Penstock app{hint}")


def _split(path: str) -> tuple[str, str]:
    source, colon, attribute = path.rpartition(":")
    # a colon may be part of the path of a file
    if not colon or attribute.endswith(".py") or not all(part.isidentifier() for part in attribute.split(".")):
        source, attribute = path, "app"
    if not source:
        raise ConfigurationError(f"{path!r} names no app; write module:attr or path/file.py:attr")
    return source, attribute


def _module(source: str) -> ModuleType:
    file = Path(source).absolute() if source.endswith(".py") or os.sep in source else None
    if file is not None and not file.is_file():
        raise ConfigurationError(f"there is no file {file}")
    name, root = (source, Path.cwd()) if file is None else _package(file)
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    module = _imported(name, source)
    if file is not None and Path(module.__file__ or "").resolve() != file.resolve():
        raise ConfigurationError(f"{source}: another module is called {name!r} ({module.__file__}); rename the file")
    return module


def _package(file: Path) -> tuple[str, Path]:
    """(name of the module, directory that its import starts from): a file in a package is imported as part of it."""
    parts, folder = [file.stem], file.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts if parts[-1] != "__init__" else parts[:-1]), folder


def _imported(name: str, source: str) -> ModuleType:
    try:
        with _telling(source):
            return importlib.import_module(name)
    except ConfigurationError as error:
        cause = error.__cause__
        missing = cause.name if isinstance(cause, ModuleNotFoundError) else None
        if missing is None or not (name == missing or name.startswith(f"{missing}.")):
            raise
        raise ConfigurationError(f"there is no module {name!r} in {Path.cwd()} or on the Python path") from cause


@contextmanager
def _telling(source: str) -> Iterator[None]:
    """Whatever the user's own code raises becomes one line. Raises ConfigurationError."""
    try:
        yield
    except PenstockError as error:
        raise ConfigurationError(f"{source}: {error}") from error
    except (Exception, SystemExit) as error:  # the module is the user's own and may raise anything
        raise ConfigurationError(f"{source} cannot be imported: {_told(error)}") from error


def _told(error: BaseException) -> str:
    """The error in one line, with the place of the user's own code where it was raised."""
    trace = error.__traceback__
    frames = [] if trace is None else traceback.extract_tb(trace)
    own = [frame for frame in frames if "importlib" not in frame.filename and frame.filename != __file__]
    place = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}{place}" if text else f"{type(error).__name__}{place}"


def _attribute(module: ModuleType, path: str) -> object:
    found: object = module
    for name in path.split("."):
        found = getattr(found, name, None)
    return found
