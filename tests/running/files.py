"""Which reader reads which file, and with which secrets."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

from tests.running import compose, kubernetes, marathon
from tests.running.units import Description


def read(path: Path, variables: Mapping[str, str], folder: Path) -> Description:
    """What a compose file, Marathon's JSON or Kubernetes' manifests say; a folder holds several of one kind.

    `variables` are the environment and the secrets; `folder` holds the volumes. Images of our own are built from the
    Dockerfile beside the file or in the nearest folder above. Raises ValueError for a file of another kind.
    """
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    if path.is_file() and "services:" in path.read_text():
        return compose.read(path, variables, folder)
    built = _dockerfile(path)
    if all(file.suffix == ".json" for file in files):
        return marathon.read(files, variables, folder, built)
    manifests = [file for file in files if file.suffix in (".yaml", ".yml")]
    if manifests and all("apiVersion:" in file.read_text() for file in manifests):
        return kubernetes.read(manifests, variables, folder, built)
    raise ValueError(f"{path}: neither a compose file, nor Marathon's JSON, nor Kubernetes' manifests")


def made_up(example: Path) -> dict[str, str]:
    """The variables of a `.env.example`; a secret that is empty there gets a value of its own."""
    file = example / ".env.example"
    lines = file.read_text().splitlines() if file.exists() else []
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name: value or secrets.token_hex(12) for name, _, value in pairs}


def _dockerfile(path: Path) -> Path | None:
    found = (folder / "Dockerfile" for folder in (path, *path.resolve().parents))
    return next((file for file in found if file.is_file()), None)
