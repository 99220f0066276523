"""The command `pipeline`, and `python -m pipeline`: imports little, so that ^C is answered from the first moment on."""

import os
import signal
import sys
from threading import Timer

from pipeline.signals import INTERRUPTED, hush


def hear_again(ignored: "sys.UnraisableHookArgs") -> None:
    """Send ^C once more where Python has dropped it: it comes to nobody while something is tidied up, imports say."""
    if issubclass(ignored.exc_type, KeyboardInterrupt):
        Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()  # Within this function it would be dropped, too.
    else:
        sys.__unraisablehook__(ignored)


def main() -> int:
    """Run the command that the command line names; returns the exit status."""
    sys.unraisablehook = hear_again
    try:
        from pipeline import cli

        return cli.main()
    except KeyboardInterrupt:  # While something is imported.
        hush()
        print("pipeline: interrupted; no file is half-written", file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # All is done, and what libraries tidy up has nothing to say.


if __name__ == "__main__":
    sys.exit(main())
