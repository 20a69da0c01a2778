"""Private servers for the tests, started from the installed programs on free ports, in folders of their own.

`redis()`, `rabbitmq()` and `postgres()` are one server each for the whole run, started when first asked for; their
`fresh()` gives the URL of an empty place to every test. A test that stops, kills or freezes its server, or needs other
settings, starts one for itself: `with Redis(appendfsync="always") as server:`.

The machine's own servers are never touched, and nothing outlives the run: see `reaper.py`.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from tests.processes import Startable, eventually, free_port, tree

PASSWORD = "penstock"

#: what was started in this run: name and version, for the summary
used: dict[str, str] = {}


def _stands(pid: int) -> bool:
    """Whether no thread of a process runs any more."""
    states = []
    for thread in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            states.append(thread.read_text().rpartition(")")[2].split()[0])
    return set(states) <= {"T", "Z", "X"}


class NotInstalledError(Exception):
    """{name} is not installed: apt-get install {package}"""

    def __init__(self, name: str, package: str) -> None:
        super().__init__(f"{name} is not installed: apt-get install {package}")


class Server(Startable):
    """A server on a port of its own, started and stopped at will; the data stays in its folder between starts."""

    name: ClassVar[str]
    package: ClassVar[str]
    #: what asks the process to end cleanly
    goodbye: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, **settings: str) -> None:
        """`settings` go into the server's configuration, in the server's own words, with `_` for `-`."""
        self.settings = settings
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"penstock-{type(self).__name__.lower()}-"))
        self.folder.chmod(0o755)
        _reaper("folder", self.folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._prepare()

    # ------------------------------------------------------------------------------------------------ to be filled in

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it is: an URL that Penstock takes, of a place that is always there."""

    @abstractmethod
    def fresh(self) -> str:
        """The URL of an empty place in it, that no other call gets."""

    @abstractmethod
    def version(self) -> str: ...

    @abstractmethod
    def _prepare(self) -> None:
        """Write what it needs before its first start."""

    @abstractmethod
    def _command(self) -> Sequence[str]: ...

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it serves."""

    def _environment(self) -> dict[str, str]:
        return dict(os.environ)

    def _user(self) -> str | None:
        """As whom it runs, when we are root; else we are ourselves."""
        return None

    # --------------------------------------------------------------------------------------------------- life and end

    @property
    def pid(self) -> int:
        """The server process itself, not a script that started it."""
        assert self._process is not None, f"{self.name} does not run"
        return self._process.pid

    @property
    def log(self) -> str:
        """What it printed."""
        return (self.folder / "log.txt").read_text(errors="replace")

    def start(self) -> Self:
        """Return when it serves."""
        used[self.name] = self.version()
        self._launch()
        eventually(self._serves, within=180, every=0.05, what=f"{self.name} serves on port {self.port}")
        return self

    def _launch(self) -> None:
        user = self._user()
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), cwd=self.folder, env=self._environment(), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                user=user, group=pwd.getpwnam(user).pw_gid if user else None, extra_groups=[] if user else None,
            )  # fmt: skip
        _reaper("run", self.pid)

    def _serves(self) -> bool:
        assert self._process is not None
        if self._process.poll() is None:
            return self._answers()
        assert self._lost_a_race(), f"{self.name} ended with {self._process.returncode}:\n{self.log}"
        self._wait()
        self._launch()
        return False

    def _lost_a_race(self) -> bool:
        """Whether it ended because someone took a port first that nobody else knows of; then it has another now."""
        return False

    def stop(self) -> None:
        """Ask it to end, and wait for that."""
        self._signal(self.goodbye, [self.pid])
        self._wait()

    def kill(self) -> None:
        """SIGKILL it, with all its processes, at one moment as far as possible."""
        self._signal(signal.SIGKILL, tree(self.pid))
        self._wait()

    def restart(self) -> None:
        """Stop it cleanly if it runs, and start it on the same port and data."""
        if self._process is not None:
            self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop its processes in their tracks: connections stay open, and nothing is answered."""
        pids = tree(self.pid)
        self._signal(signal.SIGSTOP, pids)
        # The signal is under way: a thread on another core goes on until it comes, and may still answer.
        eventually(lambda: all(map(_stands, pids)), what="the processes have stopped")

    def thaw(self) -> None:
        self._signal(signal.SIGCONT, tree(self.pid))

    def close(self) -> None:
        """End it and remove what it kept."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self) -> None:
        assert self._process is not None
        self._process.wait(60)
        _reaper("end", self._process.pid)
        self._process = None

    @staticmethod
    def _signal(number: signal.Signals, pids: Sequence[int]) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


class Redis(Server):
    """`databases` places; `appendfsync="always"` and `requirepass=PASSWORD` are settings like all others."""

    name = "Redis"
    package = "redis-server"
    databases = 8192

    def _prepare(self) -> None:
        self._program = program(self, "redis-server")
        self._places = itertools.count(1)
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "unixsocket": str(self.folder / "redis.sock"),
            "dir": str(self.folder),
            "databases": str(self.databases),
            "save": '""',
            "appendonly": "yes",
            **{name.replace("_", "-"): value for name, value in self.settings.items()},
        }
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        (self.folder / "redis.conf").write_text(text)

    def _command(self) -> Sequence[str]:
        return [self._program, str(self.folder / "redis.conf")]

    def version(self) -> str:
        return _version(self._program, "--version")

    @property
    def url(self) -> str:
        return self._place(0)

    def fresh(self) -> str:
        number = next(self._places)
        assert number < self.databases, "every place of this server is taken"
        return self._place(number)

    def _place(self, number: int) -> str:
        password = self.settings.get("requirepass")
        login = f":{password}@" if password else ""
        return f"redis://{login}127.0.0.1:{self.port}/{number}"

    def _answers(self) -> bool:
        """It listens before it has read its data, and says so (LOADING) until it has."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as probe:
            secret = self.settings.get("requirepass")
            asked = [f"AUTH {secret}", "PING"] if secret else ["PING"]
            probe.sendall("".join(f"{each}\r\n" for each in asked).encode())
            answers = probe.makefile("rb")
            return [answers.readline() for _ in asked][-1] == b"+PONG\r\n"
        return False


class RabbitMQ(Server):
    """A node with an epmd of its own; `consumer_timeout="5000"` and all else of `rabbitmq.conf` are settings."""

    name = "RabbitMQ"
    package = "rabbitmq-server"
    #: virtual hosts made in one go: asking the node costs more than making them
    batch = 20

    def __init__(self, host: str = "127.0.0.1", **settings: str) -> None:
        """`host` is the address of all that listens, and so of the node: `rabbitmq-diagnostics` looks for it there."""
        self.host = host
        super().__init__(**settings)

    def _prepare(self) -> None:
        self._scripts = _rabbitmq_scripts()
        self.node = f"penstock-{self.port}@{self.host}"
        self._names()
        self._dist_port = free_port()
        self._made: list[str] = []
        self._numbers = itertools.count(1)
        settings = {
            "listeners.tcp.1": f"{self.host}:{self.port}",
            "loopback_users": "none",
            "vm_memory_high_watermark.absolute": "1GB",
            "disk_free_limit.absolute": "10MB",
            "log.file": "false",
            "log.console": "true",
            "log.console.level": "warning",
            **self.settings,
        }
        (self.folder / "rabbitmq.conf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        (self.folder / "plugins").write_text("[].\n")

    def _names(self) -> None:
        """The service that knows which node listens where."""
        self.epmd_port = free_port()
        command = [program(self, "epmd"), "-address", self.host, "-port", str(self.epmd_port)]
        self._epmd = subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL)
        _reaper("run", self._epmd.pid)

    def _environment(self) -> dict[str, str]:
        folder = str(self.folder)
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))},
            "HOME": folder,
            "ERL_EPMD_ADDRESS": self.host,
            "ERL_EPMD_PORT": str(self.epmd_port),
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced",
            "RABBITMQ_ALLOW_INPUT": "1",  # the server is to take the place of the script that starts it
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/rabbitmq-env.conf",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput +S 1:1 +sbwt none +P 100000"
            f" -kernel inet_dist_use_interface {{{self.host.replace('.', ',')}}}",
            "RABBITMQ_USE_LONGNAME": "true",  # an address as the node's host is one
        }

    def _lost_a_race(self) -> bool:
        lost = f"dist_port_already_used,{self._dist_port}" in self.log
        self._dist_port = free_port()
        return lost

    def _command(self) -> Sequence[str]:
        return [str(self._scripts / "rabbitmq-server")]

    def version(self) -> str:
        return used.get(self.name) or self.control("version").strip()

    def control(self, *command: str) -> str:
        """What `rabbitmqctl COMMAND` prints."""
        done = subprocess.run(
            [str(self._scripts / "rabbitmqctl"), "--quiet", *command],
            env=self._environment(), cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"rabbitmqctl {' '.join(command)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{self.host}:{self.port}//"

    def fresh(self) -> str:
        if not self._made:
            self._made = [f"place-{next(self._numbers)}" for _ in range(self.batch)]
            names = ",".join(f'<<"{name}">>' for name in self._made)
            self.control(
                "eval",
                f'[begin ok = rabbit_vhost:add(Name, <<"guest">>), All = <<".*">>,'
                f' ok = rabbit_auth_backend_internal:set_permissions(<<"guest">>, Name, All, All, All, <<"guest">>)'
                f" end || Name <- [{names}]].",
            )
        return f"amqp://guest:guest@{self.host}:{self.port}/{self._made.pop(0)}"

    def _answers(self) -> bool:
        """The port opens when everything else is up."""
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 5) as probe:
            probe.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(probe.recv(1))
        return False

    def close(self) -> None:
        super().close()
        self._epmd.kill()
        self._epmd.wait()
        _reaper("end", self._epmd.pid)


class Postgres(Server):
    """A cluster; settings are those of `postgresql.conf`."""

    name = "PostgreSQL"
    package = "postgresql"
    goodbye = signal.SIGINT  # "fast": ends sessions instead of waiting for them

    def _prepare(self) -> None:
        self._programs = _postgres_programs()
        self._numbers = itertools.count(1)
        self._data = self.folder / "data"
        self._data.mkdir(mode=0o700)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        user = self._user()
        if user:
            shutil.chown(self.folder, user)
            shutil.chown(self._data, user)
        command = [
            str(self._programs / "initdb"), "--pgdata", str(self._data), "--username", "penstock",
            f"--pwfile={secret}", "--auth-local=trust", "--auth-host=password", "--encoding=UTF8", "--locale=C",
            "--no-sync",
        ]  # fmt: skip
        made = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False,
            user=user, group=pwd.getpwnam(user).pw_gid if user else None, extra_groups=[] if user else None,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "max_connections": "300",
            "shared_buffers": "32MB",
            "fsync": "off",  # a killed process loses nothing by it, only a machine without power does
            **self.settings,
        }
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def _user(self) -> str | None:
        """PostgreSQL refuses to run as root; its own user is there when Debian installed it."""
        if os.geteuid() != 0:
            return None
        names = {entry.pw_name for entry in pwd.getpwall()}
        return "postgres" if "postgres" in names else "nobody"

    def _command(self) -> Sequence[str]:
        return [str(self._programs / "postgres"), "-D", str(self._data)]

    def version(self) -> str:
        return _version(str(self._programs / "postgres"), "--version")

    @property
    def url(self) -> str:
        return self._place("postgres")

    def fresh(self) -> str:
        """A schema of its own, which does not exist yet: a database each would take the better part of a second."""
        return f"{self.url}?schema=place_{next(self._numbers)}"

    def sql(self, *statements: str) -> None:
        """Run statements as the superuser, each for itself."""
        command = [str(self._programs / "psql"), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1"]
        command += ["--host", str(self.folder), "--port", str(self.port), "--username", "penstock", "postgres"]
        for statement in statements:
            command += ["--command", statement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def _place(self, name: str) -> str:
        return f"postgresql://penstock:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def _answers(self) -> bool:
        command = [str(self._programs / "pg_isready"), "--quiet", "--host", "127.0.0.1", "--port", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0


# ------------------------------------------------------------------------------------------------- one for all tests


@functools.cache
def redis() -> Redis:
    """The Redis of this run, with an append-only file written once a second. Not to be stopped or killed."""
    return Redis().start()


@functools.cache
def rabbitmq() -> RabbitMQ:
    """The RabbitMQ of this run. Not to be stopped or killed."""
    return RabbitMQ().start()


@functools.cache
def postgres() -> Postgres:
    """The PostgreSQL of this run. Not to be stopped or killed."""
    return Postgres().start()


def summary() -> str:
    """Which servers the tests of this run used."""
    listed = ", ".join(f"{name} {version}" for name, version in sorted(used.items()))
    return f"private servers used: {listed or 'none'}"


# --------------------------------------------------------------------------------------------------------- the parts


def program(server: Server, name: str) -> str:
    """The path of an installed program."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise NotInstalledError(server.name, server.package)
    return found


def _rabbitmq_scripts() -> Path:
    """The folder of the scripts themselves: those that Debian has in the path insist on a user and its folders."""
    folder = Path("/usr/lib/rabbitmq/bin")
    if not folder.exists():
        found = shutil.which("rabbitmq-server")
        folder = Path(found).resolve().parent if found else folder
    if not (folder / "rabbitmq-server").exists():
        raise NotInstalledError(RabbitMQ.name, RabbitMQ.package)
    return folder


def _postgres_programs() -> Path:
    """The folder of the newest installed version, or the one that POSTGRES_PROGRAMS names."""
    if named := os.environ.get("POSTGRES_PROGRAMS"):
        return Path(named)
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    found = shutil.which("initdb")
    if found:
        folders.append(Path(found).resolve().parent)
    if not folders:
        raise NotInstalledError(Postgres.name, Postgres.package)
    return max(folders, key=lambda path: int(path.parent.name) if path.parent.name.isdigit() else 0)


def _version(*command: str) -> str:
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"\d+(\.\d+)+", printed)
    assert found, printed
    return found.group()


@functools.cache
def _reaping() -> subprocess.Popen[str]:
    script = Path(__file__).with_name("reaper.py")
    return subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, start_new_session=True, text=True)


def ends_with_the_run(group: int) -> None:
    """Have a process and its group killed when this run has ended, however it ended."""
    _reaper("run", group)


def _reaper(order: str, what: object) -> None:
    pipe = _reaping().stdin
    assert pipe is not None
    pipe.write(f"{order} {what}\n")
    pipe.flush()


def end() -> None:
    """End all that still runs: what stands in the way of a clean end is killed."""
    if not _reaping.cache_info().currsize:
        return
    pipe = _reaping().stdin
    assert pipe is not None
    pipe.close()
    _reaping().wait(600)  # of thousands of tables the files are many
