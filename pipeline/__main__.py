"""The entry point of `pipeline` and `python -m pipeline`. It imports little, so that it handles ^C immediately."""

import os
import signal
import sys
from threading import Timer

from pipeline.signals import INTERRUPTED, hush


def hear_again(ignored: "sys.UnraisableHookArgs") -> None:
    """Send ^C again if Python has dropped it, for example in a callback during an import, which cannot raise."""
    if issubclass(ignored.exc_type, KeyboardInterrupt):
        Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()  # Later, since this hook would drop it, too.
    else:
        sys.__unraisablehook__(ignored)


def main() -> int:
    """Run the command on the command line; returns the exit status."""
    sys.unraisablehook = hear_again
    try:
        from pipeline import cli

        return cli.main()
    except KeyboardInterrupt:  # During an import.
        hush()
        print("pipeline: interrupted; no file is half-written", file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # The command has ended; ^C must not interrupt the cleanup.


if __name__ == "__main__":
    sys.exit(main())
