"""Programs as tasks: any executable with a name, declared arguments and a result.

The arguments come as one JSON object on STDIN, or in the command line by template; never through a shell. What the
program writes to STDOUT is the result, each line on STDERR a line of the log. Runs in a worker, in eager mode and when
called directly.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

import msgspec

from penstock.client.task import Task
from penstock.core.encoding import loads
from penstock.core.errors import (
    ConfigurationError,
    DecodingError,
    ProgramError,
    ProgramRefused,
    SoftTimeLimitExceeded,
)
from penstock.core.ids import new_id
from penstock.core.task import TaskOptions
from penstock.programs import program as programs
from penstock.programs.lasting import LONGEST, lasting
from penstock.programs.program import Limits, Program
from penstock.programs.run import NEVER, Finished, run

_PLACE: Final = re.compile(r"\{\{|\}\}|\{([A-Za-z_]\w*)\}")
_PROGRESS: Final = re.compile(r"::progress +([0-9.]+)(?: +(.*))?")
_ERROR: Final = b"::error"  # begins the answer of a lasting program that could not do it
_LINE: Final = 64 * 1024  # bytes without a line's end that are told as a line


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a program task runs, as its user gave it."""

    argv: tuple[str, ...]
    parameters: Mapping[str, Any] | Callable[..., Any] | None = None
    stdin: str | None = None  #: the argument that is STDIN, instead of all as JSON
    output: str = ""  #: the folder where results are left as files
    env: Sequence[str] = ()  #: names that it sees of our environment, besides the usual
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    limits: Limits = field(default_factory=Limits)
    pool: int = 0  #: so many lasting processes of it; 0: one process a run


class ProgramTask(Task):
    """A task that runs a program."""

    is_program = True
    is_async = True

    def __init__(self, name: str, how: Run, options: TaskOptions) -> None:
        self.name = name
        self.options = options
        self.how = how
        self.signature = _signature(name, how)
        others = [each.name for each in self.signature.parameters.values() if each.kind is each.VAR_KEYWORD]
        self.__doc__ = f"Runs {how.argv[0]}."

        async def run(*args: Any, **kwargs: Any) -> Any:
            bound = self.signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given = dict(bound.arguments)
            for other in others:
                given |= given.pop(other)
            return await self._work(given)

        run.__doc__ = self.__doc__
        run.__signature__ = self.signature  # type: ignore[attr-defined]
        self.run = run  # type: ignore[method-assign]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it here, without a queue, and wait for it. Raises ProgramError."""
        work = partial(self.run, *args, **kwargs)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(work())
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(copy_context().run, asyncio.run, work()).result()

    def check(self) -> None:
        """Raise ConfigurationError, in one line, if the program cannot be run on this machine."""
        try:
            _ = self.program
        except ConfigurationError as error:
            raise ConfigurationError(f"task {self.name}: {error}") from None

    @cached_property
    def program(self) -> Program:
        """The executable and its surroundings, with a command line whose places are not filled. Found at first use."""
        how = self.how
        folder = programs.checked_folder(how.cwd or None)
        seen = programs.environment(how.env, how.environment)
        path = programs.find(how.argv[0], folder, seen.get("PATH"))
        programs.checked_folder(how.output or None)
        return Program(path=path, argv=how.argv, environment=seen, folder=folder, limits=how.limits)

    async def _work(self, arguments: dict[str, Any]) -> Any:
        try:
            program = self.program
        except ConfigurationError as error:
            raise ProgramError(str(error)) from None
        told = _Told(self)
        try:
            if self.how.pool:
                return await self._ask(program, arguments, told)
            return await self._run(program, arguments, told)
        finally:
            told.end()

    async def _run(self, program: Program, arguments: dict[str, Any], told: _Told) -> Any:
        filled = Program(
            path=program.path,
            argv=(program.argv[0], *(_filled(each, arguments) for each in program.argv[1:])),
            environment={**program.environment, **self._identity()},
            folder=program.folder,
            limits=program.limits,
        )
        body = self._body(arguments)
        if self.how.output:
            return await self._into_file(filled, body, told)
        output = bytearray()

        def take(chunk: bytes) -> None:
            output.extend(chunk)
            if len(output) > LONGEST:
                raise ProgramError(f"wrote more than {LONGEST} bytes to STDOUT; give the program task output=FOLDER")

        _require(await run(filled, body, stdout=take, stderr=told))
        return _value(bytes(output))

    async def _into_file(self, program: Program, body: bytes, told: _Told) -> dict[str, Any]:
        target = Path(self.how.output) / (self.request.id or new_id()).replace(os.sep, "_")
        draft = target.with_name(f".{target.name}.{new_id()}")
        try:
            with draft.open("xb") as file:
                _require(await run(program, body, stdout=file.fileno(), stderr=told))
            draft.rename(target)
        finally:
            draft.unlink(missing_ok=True)
        return {"path": str(target), "size": target.stat().st_size}

    async def _ask(self, program: Program, arguments: dict[str, Any], told: _Told) -> Any:
        pool = await lasting(self, program, self.how.pool)
        answer = await pool.ask(msgspec.json.encode(arguments), told)
        if answer.startswith(_ERROR):
            raise ProgramError(answer[len(_ERROR) :].decode("utf-8", "backslashreplace").strip())
        return _value(answer)

    def _body(self, arguments: Mapping[str, Any]) -> bytes:
        if self.how.stdin is None:
            return msgspec.json.encode(arguments)
        value = arguments[self.how.stdin]
        return bytes(value) if isinstance(value, (bytes, bytearray)) else _text(value).encode()

    def _identity(self) -> dict[str, str]:
        request = self.request
        if request.called_directly:
            return {}
        return {
            "PENSTOCK_TASK_ID": request.id,
            "PENSTOCK_TASK": self.name,
            "PENSTOCK_ATTEMPT": str(request.retries + 1),
        }


class _Told:
    """What a program says on STDERR: lines for the log, and its progress."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._rest = b""
        self._context = copy_context()  # the loop calls from anywhere; a line is to be known by its task

    def __call__(self, chunk: bytes) -> None:
        """Take what it has written."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > _LINE:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._context.run(self._tell, line)

    def end(self) -> None:
        """It says no more."""
        if self._rest:
            self._context.run(self._tell, self._rest)
            self._rest = b""

    def _tell(self, line: bytes) -> None:
        text = line.decode("utf-8", "backslashreplace")
        if found := _PROGRESS.fullmatch(text.strip()):
            try:
                self._task.progress(float(found[1]), found[2])
            except ValueError:
                pass  # no progress, then, but a line like any other
            else:
                return
        sys.stderr.write(f"{text}\n")


def how(argv: Sequence[str], given: Mapping[str, Any]) -> Run:
    """What is given to `app.program`, checked. Raises ConfigurationError with every fault."""
    limits = Limits(**{name: given[name] for name in ("memory", "cpu", "nice")})
    values = {name: value for name, value in given.items() if name not in {"memory", "cpu", "nice"}}
    if values["output"]:
        values["output"] = str(Path(values["output"]).expanduser().absolute())
    found = Run(argv=programs.texts(argv), limits=limits, **values)
    faults = []
    if type(found.pool) is not int or not 0 <= found.pool <= 1024:
        faults.append(f"pool={found.pool!r}: must be a whole number from 0 to 1024")
    elif found.pool and (found.stdin or found.output or _places(found)):
        faults.append(
            "pool: a lasting program gets its arguments as lines of JSON; leave out stdin, output and {places}"
        )
    if _PLACE.search(found.argv[0]):
        faults.append(f"{found.argv[0]!r}: the program itself cannot come from an argument")
    if faults:
        raise ConfigurationError(*faults)
    return found


def _signature(name: str, how: Run) -> inspect.Signature:
    """The declared parameters, or those that the command line names, or anything by name."""
    given, wanted = how.parameters, dict.fromkeys([*_places(how), *([how.stdin] if how.stdin else [])])
    if given is None and not wanted:
        anything = inspect.Parameter("arguments", inspect.Parameter.VAR_KEYWORD, annotation=Any)
        return inspect.Signature([anything])
    if callable(given):
        found = inspect.signature(given)
    else:
        named = dict.fromkeys(wanted, str) if given is None else given
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        found = inspect.Signature([inspect.Parameter(each, kind, annotation=hint) for each, hint in named.items()])
    if missing := [each for each in wanted if each not in found.parameters]:
        raise ConfigurationError(
            f"task {name}: {', '.join(missing)}: used by the program, but not among its parameters"
        )
    return found


def _places(how: Run) -> list[str]:
    return [found for each in how.argv for found in _PLACE.findall(each) if found]


def _filled(template: str, arguments: Mapping[str, Any]) -> str:
    def fill(found: re.Match[str]) -> str:
        return _text(arguments[found[1]]) if found[1] else found[0][0]

    text = _PLACE.sub(fill, template)
    if "\0" in text:
        raise ProgramError("an argument of a program cannot have a NUL character")
    return text


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    encoded = msgspec.json.encode(value).decode()
    return msgspec.json.decode(encoded, type=str) if encoded.startswith('"') else encoded  # dates and the like


def _value(output: bytes) -> Any:
    """STDOUT as a result: the JSON that it is, or text; bytes if it is no text either."""
    try:
        return loads(output)
    except DecodingError:
        pass
    try:
        return output.decode()
    except UnicodeDecodeError:
        return output


def _require(finished: Finished) -> None:
    """Raise what a run that did not end well means."""
    if not finished.code:
        return
    if finished.late:
        raise SoftTimeLimitExceeded(finished.told())
    raise (ProgramRefused if finished.code == NEVER else ProgramError)(finished.told())
