"""What the `__main__` of every stage does: read params.yaml, run, say it in one line.

An error that the user can mend becomes one line and exit 1, without a traceback unless `-v` asks for it.
"""

import argparse
import logging
import sys
from collections.abc import Callable

from pipeline import store
from pipeline.errors import TreeringError, one_line
from pipeline.params import Params, read_params

logger = logging.getLogger(__name__)


def main(name: str, run: Callable[[Params], str]) -> None:
    """Run the stage `name`, print the sentence that `run` returns, and exit."""
    parser = argparse.ArgumentParser(prog=f"python -m pipeline.{name}", description=sys.modules["__main__"].__doc__)
    parser.add_argument("-v", "--verbose", action="store_true", help="show what happens, and tracebacks")
    verbose = parser.parse_args().verbose
    logging.basicConfig(format=f"{name}: %(message)s", level=logging.DEBUG if verbose else logging.WARNING)
    # At DEBUG these say more about themselves than about this stage.
    for chatty in ("PIL", "matplotlib", "fsspec", "asyncio", "sqltrie", "git"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        print(f"{name}: {run(read_params())}", flush=True)
    except (KeyboardInterrupt, SystemExit):  # Lightning makes the one into the other.
        store.restore_outputs(name)
        print(f"{name}: interrupted; what was there before is as it was, and `dvc repro` begins again", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        store.restore_outputs(name)
        logger.debug("failed", exc_info=True)
        fault = (
            "" if isinstance(error, TreeringError) else f"{type(error).__name__} in `python -m pipeline.{name} -v`: "
        )
        print(f"{name}: error: {fault}{one_line(error)}", file=sys.stderr)
        sys.exit(1)
