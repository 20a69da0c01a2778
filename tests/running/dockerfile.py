"""A Dockerfile's last stage: what the image starts, with which variables, and where its folders come from."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath


@dataclass(slots=True)
class Image:
    """What a container of it starts from."""

    base: str = ""
    folder: str = "/"  #: WORKDIR
    environment: dict[str, str] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)  #: where what was copied into it is here
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()


def read(file: Path, bases: Mapping[str, Path]) -> Image:
    """Read `file`, whose folder is the context of the build, and those of `bases` that it starts from."""
    image = Image()
    text = re.sub(r"\\\n", " ", "\n".join(line for line in file.read_text().splitlines() if not line.startswith("#")))
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        match word.upper():
            case "FROM":
                name = rest.split()[0]
                image = read(bases[name], bases) if name in bases else Image(base=name)
            case "WORKDIR":
                image.folder = str(PurePosixPath(image.folder) / rest)
            case "ENV":
                pairs = (each.partition("=") for each in shlex.split(rest))
                image.environment |= {name: value for name, _, value in pairs if name != "PATH"}
            case "COPY" | "ADD" if "--from" not in rest:
                _copy(image, file.parent, [each for each in shlex.split(rest) if not each.startswith("--")])
            case "EXPOSE":
                image.ports += tuple(int(each.partition("/")[0]) for each in rest.split())
            case "ENTRYPOINT":
                image.entrypoint, image.command = words(rest), ()
            case "CMD":
                image.command = words(rest)
    return image


def words(value: str) -> tuple[str, ...]:
    """A command in Docker's two forms: a JSON list, or a line for a shell."""
    return tuple(json.loads(value)) if value.startswith("[") else ("/bin/sh", "-c", value)


def _copy(image: Image, context: Path, parts: list[str]) -> None:
    *sources, to = parts
    target = PurePosixPath(image.folder) / to
    for source in sources:
        path = (context / source).resolve()
        inside = target if path.is_dir() or not (to.endswith("/") or to in (".", "./")) else target / path.name
        image.paths[str(inside)] = path
