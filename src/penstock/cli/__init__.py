"""The command `penstock`: this entry, and one short file a command."""

from __future__ import annotations

import signal
import sys

INTERRUPTED = 130  # 128 + SIGINT, what shells report


def main() -> int:
    """Run the command line in `sys.argv`; return the exit code.

    Ctrl-C ends the process silently from the first import on. Commands that have something to tidy up listen to SIGINT
    themselves; nowhere is an exception raised between two arbitrary instructions.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from penstock.cli.program import run

    return run(sys.argv[1:])
