"""What an instance runs as here: the installed server for a server's image, the command itself for one of ours."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests import servers
from tests.running import dockerfile
from tests.running.network import Inside
from tests.running.units import Unit


@dataclass(frozen=True, slots=True)
class Program:
    """What is started, again and again, for one instance."""

    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    inside: Inside
    user: str | None = None
    server: servers.Server | None = None  #: whose folders and helpers it uses


def program(unit: Unit, inside: Inside, folder: Path) -> Program:
    """The program of one instance of `unit`, whose own folder is `folder`. Raises NotInstalledError."""
    image = _image(unit)
    if image.folder not in (*image.paths, "/"):
        image.paths[image.folder] = _gathered(image, folder)
    inside = replace(inside, paths={**image.paths, **unit.volumes, **inside.paths})
    command = [*(image.entrypoint if unit.entrypoint is None else unit.entrypoint)]
    if unit.command is not None:
        command += unit.command
    elif unit.entrypoint is None:
        command += image.command
    place = inside.paths.get(image.folder, folder)
    given = {**image.environment, **unit.environment}
    # what is ours is of this machine already: its paths may begin like one of the container's
    environment = _environment(folder) | {name: inside.variable(name, value) for name, value in given.items()}
    environment["PENSTOCK_HEALTH_HOST"] = inside.own
    # a server on 0.0.0.0 would answer to every address, and that is where it believes not to be
    hosts = (environment.get("PENSTOCK_ALLOWED_HOSTS", ""), inside.own, *inside.names.values())
    environment["PENSTOCK_ALLOWED_HOSTS"] = ",".join(filter(None, hosts))
    made = Program([inside.text(_filled(word, environment)) for word in command], environment, place, inside)
    kind = _kind(image)
    return _SERVERS[kind](made, folder) if kind in _SERVERS else made


def _gathered(image: dockerfile.Image, folder: Path) -> Path:
    """The working folder of an image, where not one folder was copied there, but single files were."""
    place = folder / "workdir"
    place.mkdir(exist_ok=True)
    for path, here in image.paths.items():
        link = place / Path(path).name
        if str(Path(path).parent) == image.folder and not link.exists():
            link.symlink_to(here)
    return place


def is_server(unit: Unit) -> bool:
    """Whether it is somebody else's server, of which there is one."""
    return _kind(_image(unit)) in _SERVERS


def ports(unit: Unit) -> tuple[int, ...]:
    """What it listens to, as far as is said."""
    return unit.ports or _image(unit).ports


def _image(unit: Unit) -> dockerfile.Image:
    return dockerfile.read(unit.build, unit.bases) if unit.build else dockerfile.Image(base=unit.image)


def _kind(image: dockerfile.Image) -> str:
    return re.sub(r"^.*/|[:@].*$", "", image.base)


def _environment(folder: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TZ", "TMPDIR") if name in os.environ}
    return {**kept, "PATH": path, "HOME": str(folder), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def _filled(word: str, environment: Mapping[str, str]) -> str:
    """Kubernetes' `$(NAME)` in a command."""
    return re.sub(r"\$\((\w+)\)", lambda found: environment.get(found[1], found[0]), word)


# ------------------------------------------------------------------------------------------------------------ servers


def _found(name: str, package: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise servers.NotInstalledError(name, package)
    return found


def _redis(made: Program, folder: Path) -> Program:
    """The file's own arguments, which come last, so that they count. Its `redis-cli` asks here if not told where."""
    shell = folder / "bin" / "redis-cli"
    shell.parent.mkdir()
    shell.write_text(f'#!/bin/sh\nexec "{_found("redis-cli", "redis-tools")}" -h {made.inside.own} "$@"\n')
    shell.chmod(0o755)
    path = f"{shell.parent}{os.pathsep}{made.environment['PATH']}"
    made = replace(made, environment={**made.environment, "PATH": path})
    given = list(made.command)
    if "redis-server" not in " ".join(given):
        given = ["redis-server", *given]
    data = made.inside.paths.get("/data", folder)
    data.mkdir(parents=True, exist_ok=True)
    ours = f' --bind {made.inside.own} --dir "{data}" --save ""'
    if given[:2] == ["/bin/sh", "-c"]:
        return replace(made, command=[*given[:2], given[2] + ours], folder=data)
    _found("redis-server", "redis-server")
    return replace(made, command=[*given, "--bind", made.inside.own, "--dir", str(data), "--save", ""], folder=data)


def _rabbitmq(made: Program, _folder: Path) -> Program:
    env = made.environment
    login = {
        "default_user": env.get("RABBITMQ_DEFAULT_USER", "guest"),
        "default_pass": env.get("RABBITMQ_DEFAULT_PASS", "guest"),
        "listeners.tcp.1": f"{made.inside.own}:5672",
    }
    server = servers.RabbitMQ(made.inside.own, **login)
    kept = {**made.environment, **server._environment()}
    kept["PATH"] = f"{server._scripts}{os.pathsep}{made.environment['PATH']}"
    return replace(made, command=server._command(), environment=kept, folder=server.folder, server=server)


def _postgres(made: Program, _folder: Path) -> Program:
    """The image's own start: a cluster, a role and a database, made before the server serves."""
    env = made.environment
    server = servers.Postgres(listen_addresses=made.inside.own, port="5432")
    server.port = 5432
    user = env.get("POSTGRES_USER", "postgres")
    database, secret = env.get("POSTGRES_DB", user), env["POSTGRES_PASSWORD"].replace("'", "''")
    command = [str(server._programs / "pg_isready"), "--quiet", "--host", str(server.folder), "--port", "5432"]
    _started_once(server, command, user, database, secret)
    environment = {**env, "PATH": f"{server._programs}{os.pathsep}{env['PATH']}", "PGHOST": made.inside.own}
    return replace(
        made,
        command=server._command(),
        environment=environment,
        folder=server.folder,
        user=server._user(),
        server=server,
    )


def _started_once(server: servers.Postgres, answers: Sequence[str], user: str, database: str, secret: str) -> None:
    server._answers = lambda: subprocess.run(answers, check=False).returncode == 0  # type: ignore[method-assign]
    server.start()
    if user != "penstock":
        server.sql(f'CREATE ROLE "{user}" SUPERUSER LOGIN')
    server.sql(f"ALTER ROLE \"{user}\" PASSWORD '{secret}'")
    if database not in ("postgres", "template1"):
        server.sql(f'CREATE DATABASE "{database}" OWNER "{user}"')
    server.stop()


def _nginx(made: Program, folder: Path) -> Program:
    """The image's configuration, read with this instance's addresses and paths in it."""
    own = made.inside.paths
    whole, part = own.get("/etc/nginx/nginx.conf"), own.get("/etc/nginx/conf.d/default.conf")
    source = whole or part
    assert source is not None, "an nginx image needs a configuration of its own"
    text = re.sub(r"(\blisten\s+)(\d+)", rf"\g<1>{made.inside.own}:\g<2>", source.read_text())
    text = "\n".join(map(made.inside.text, text.splitlines()))
    if whole is None:
        text = f"events {{}}\nhttp {{\n{_TYPES}{text}\n}}\n"
    for name in ("client", "proxy", "fastcgi", "uwsgi", "scgi"):
        text = text.replace(
            "http {", f"http {{\n{name}_{'body_' if name == 'client' else ''}temp_path {folder}/{name};", 1
        )
    text = f"user root;\n{text}" if os.geteuid() == 0 else text  # its own user may not read folders of tests
    (folder / "nginx.conf").write_text(text)
    options = f"daemon off; pid {folder}/nginx.pid; error_log stderr;"
    nginx = _found("nginx", "nginx")
    return replace(
        made, command=[nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", options], folder=folder
    )


_TYPES = "include /etc/nginx/mime.types;\naccess_log off;\n"


def _haproxy(made: Program, folder: Path) -> Program:
    source = made.inside.paths["/usr/local/etc/haproxy/haproxy.cfg"]
    (folder / "haproxy.cfg").write_text("\n".join(map(made.inside.text, source.read_text().splitlines())) + "\n")
    return replace(
        made, command=[_found("haproxy", "haproxy"), "-W", "-db", "-f", str(folder / "haproxy.cfg")], folder=folder
    )


_SERVERS: dict[str, Callable[[Program, Path], Program]] = {
    "redis": _redis,
    "rabbitmq": _rabbitmq,
    "postgres": _postgres,
    "nginx": _nginx,
    "haproxy": _haproxy,
}


def group_of(user: str | None) -> int | None:
    return pwd.getpwnam(user).pw_gid if user else None
