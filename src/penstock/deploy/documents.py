"""The targets: which template writes which file, and how each refers to a secret."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from penstock.core.errors import ConfigurationError
from penstock.deploy import marathon
from penstock.deploy.services import SECRET, Deployment, Service


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of place that an app is deployed to. `@name@` stands for the app's name."""

    template: str
    file: str  #: what the document is called in a folder
    secret: str  #: how a value in the document refers to the secret `{}`
    beside: tuple[str, ...] = ("Dockerfile", ".dockerignore")  #: what a folder gets in addition
    on_one_machine: bool = False


_NOMAD_VARIABLE: Final = '{{ with nomadVar "nomad/jobs/@name@" }}{{ .%s }}{{ end }}'
TARGETS: Final = {
    "compose": Target(
        "compose.yaml",
        "compose.yaml",
        "${%s:?set it in .env}",
        ("Dockerfile", ".dockerignore", ".env.example"),
        on_one_machine=True,
    ),
    "kubernetes": Target("kubernetes.yaml", "@name@.yaml", "$(%s)"),
    "marathon": Target("", "@name@.json", ""),
    "nomad": Target("nomad.hcl", "@name@.nomad.hcl", _NOMAD_VARIABLE),
    "systemd": Target("systemd.service", "", "", ("environment.example",), on_one_machine=True),
}
#: systemd reads a folder of unit files; the document is all of them, each below a line with its name.
_UNIT: Final = "# === "


def document(target: str, deployment: Deployment) -> str:
    """The one document that `target` reads. Raises ConfigurationError where the deployment does not fit it."""
    kind = TARGETS[target]
    services = deployment.services(on_one_machine=kind.on_one_machine)
    if target == "marathon":
        return marathon.document(deployment, services)
    return _render(kind.template, kind.secret.replace("@name@", deployment.name), deployment, services)


def files(target: str, deployment: Deployment) -> dict[str, str]:
    """The document as files by name, with what belongs beside it."""
    kind = TARGETS[target]
    text = document(target, deployment)
    main = _units(text) if target == "systemd" else {kind.file.replace("@name@", deployment.name): text}
    services = deployment.services(on_one_machine=kind.on_one_machine)
    return main | {name: _render(name, "", deployment, services) for name in kind.beside}


def parse_scale(parts: Sequence[str]) -> dict[str, int]:
    """`["worker=5", "api=2"]` as a table. Raises ConfigurationError naming what it cannot read."""
    scale = {}
    for part in parts:
        name, _, count = part.partition("=")
        if not count.isdecimal():
            raise ConfigurationError(f"--scale {part}: write it like worker=5")
        scale[name] = int(count)
    return scale


def _units(text: str) -> dict[str, str]:
    parts = [part.partition("\n") for part in text.split(_UNIT) if part.strip()]
    return {name.strip(): body.strip() + "\n" for name, _, body in parts}


def _render(template: str, secret: str, deployment: Deployment, services: Sequence[Service]) -> str:
    environment = Environment(
        loader=PackageLoader("penstock.deploy"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (no HTML; each format quotes in its own way, by the filters below)
    )
    environment.filters |= {
        "quoted": json.dumps,
        "secret": lambda value: SECRET.sub(lambda found: secret % found[1], value),
        "hcl": lambda value: SECRET.sub(r'${env["\1"]}', json.dumps(value)),
        "addressed": _addressed(deployment),
        "unit": _unit,
        "shell": shlex.join,
    }
    secrets = sorted({name for service in services for name in service.secrets})
    text = environment.get_template(template).render(app=deployment, services=services, secrets=secrets)
    return text.rstrip("\n") + "\n"


def _addressed(deployment: Deployment) -> Callable[[str], str]:
    """For Nomad, which gives servers an address and a port when they start: its own words for both."""

    def fill(value: str) -> str:
        for server in deployment.servers:
            where = f'{{{{ range nomadService "{deployment.name}-{server.name}" }}}}{{{{ .Address }}}}:{{{{ .Port }}}}'
            value = value.replace(f"@{server.name}:{server.port}", f"@{where}{{{{ end }}}}")
        return value

    return fill


def _unit(command: Sequence[str]) -> str:
    """An ExecStart= line: systemd.service(5) reads % and $ as its own, and quotes as a shell does."""
    return " ".join(shlex.quote(word).replace("%", "%%").replace("$", "$$") for word in command)
