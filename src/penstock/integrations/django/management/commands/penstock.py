"""`manage.py penstock worker`: the command line for this project."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

#: Options of Django's that have done their work when a command begins.
_DJANGO = ("--settings", "--pythonpath")


class Command(BaseCommand):
    """Passes everything on to `penstock`, which then knows the project."""

    help = "Workers, the HTTP API and everything else of Penstock, for this project."
    requires_system_checks: Sequence[str] = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("arguments", nargs=argparse.REMAINDER)

    def run_from_argv(self, argv: list[str]) -> None:
        """Become that process: it gets the signals, and loads the project only once."""
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        for option in _DJANGO:
            parser.add_argument(option)
        _, arguments = parser.parse_known_args(argv[2:])
        sys.stdout.flush()
        os.execve(sys.executable, _command(arguments), _environment())  # noqa: S606

    def handle(self, *, arguments: Sequence[str], **_: Any) -> None:
        """`call_command("penstock", "list")`: run it and wait. Raises SystemExit if it fails."""
        code = subprocess.run(_command(arguments), env=_environment(), check=False).returncode
        if code:
            raise SystemExit(code)


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "penstock", *arguments]


def _environment() -> dict[str, str]:
    """This process's, with the project: its settings, and the folder of manage.py to import it from."""
    path = [str(Path(sys.argv[0]).resolve().parent), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": str(settings.SETTINGS_MODULE),
        "PENSTOCK_APP": "penstock.integrations.django:app",
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
    }
