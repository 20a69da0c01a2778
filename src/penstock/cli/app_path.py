"""The APP of a command line: `module:attr`, `path/file.py[:attr]`, or the package of a Django project."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import PathFinder
from typing import Any

import click


class AppPath(click.ParamType[str]):
    """What `load_app` takes. A Django project is named by its package: `myproject` for `myproject.settings`."""

    name = "app"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        path = str(value)
        return _of_project(path) if all(part.isidentifier() for part in path.split(".")) else path


def _of_project(name: str) -> str:
    """The APP of the Django project in package `name`; `name` itself if it has an `app` of its own, or no settings."""
    here = os.getcwd()  # noqa: PTH109 - as text, for the path of modules
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = importlib.util.find_spec(name)  # imports what stands above it
        places = found.submodule_search_locations if found else None
        settings = PathFinder.find_spec(f"{name}.settings", places) if places else None
        if settings is None or hasattr(importlib.import_module(name), "app"):
            return name
    except Exception:  # the package is the user's own and may raise anything; importing it again will tell
        return name
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"{name}.settings")
    return "penstock.integrations.django:app"


argument = click.argument("app_path", metavar="APP", type=AppPath(), envvar="PENSTOCK_APP")
optional_argument = click.argument("app_path", metavar="[APP]", type=AppPath(), envvar="PENSTOCK_APP", required=False)
