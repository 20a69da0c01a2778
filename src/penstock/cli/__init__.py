"""The command `penstock`: this entry, and one short file a command."""

from __future__ import annotations

import sys

INTERRUPTED = 130  # 128 + SIGINT, what shells report


def main() -> int:
    """Run the command line in `sys.argv`; return the exit code."""
    from penstock.cli.program import run

    return run(sys.argv[1:])
