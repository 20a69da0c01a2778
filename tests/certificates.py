"""Certificates for the private servers of the tests: made by openssl when they are needed, trusted by nobody else."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_CONFIGURATION = """
[req]
distinguished_name = whom
[whom]
[authority]
basicConstraints = critical, CA:TRUE
[member]
basicConstraints = critical, CA:FALSE
subjectAltName = IP:127.0.0.1
"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, as files that everybody can read, so that a server's user can."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates: who names `certificate` as an authority trusts them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "openssl.cnf").write_text(_CONFIGURATION)
        self._own = self._make("authority", "-extensions", "authority")

    @property
    def certificate(self) -> Path:
        return self._own.certificate

    def sign(self, name: str) -> Certificate:
        """A new certificate, for a server at 127.0.0.1 or for a client."""
        signer = ("-CA", str(self._own.certificate), "-CAkey", str(self._own.key))
        return self._make(name, "-extensions", "member", *signer)

    def _make(self, name: str, *options: str) -> Certificate:
        made = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}-key.pem")
        command = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-config", str(self._folder / "openssl.cnf"), "-subj", f"/CN={name}", *options,
            "-keyout", str(made.key), "-out", str(made.certificate),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        made.key.chmod(0o644)
        return made
