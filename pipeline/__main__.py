"""The command `pipeline`, and `python -m pipeline`: imports little, so that ^C is answered from the first moment on."""

import signal
import sys

from pipeline.signals import INTERRUPTED, hush


def main() -> int:
    """Run the command that the command line names; returns the exit status."""
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
