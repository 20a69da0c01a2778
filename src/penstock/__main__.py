"""The command `penstock`, which is also `python -m penstock`. Nothing else imports this file.

Ctrl-C ends the process silently from here on. Commands that have something to tidy up listen to SIGINT themselves;
nowhere is an exception raised between two arbitrary instructions.
"""

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from penstock.cli import main

if __name__ == "__main__":
    sys.exit(main())
