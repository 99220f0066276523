"""What the `__main__` of every stage does: read params.yaml, run, say it in one line.

An error that the user can mend becomes one line and exit 1, without a traceback unless `-v` asks for it.
"""

import argparse
import sys
from collections.abc import Callable

from pipeline import store
from pipeline.console import complain, set_up_logging
from pipeline.params import Params, read_params


def main(name: str, run: Callable[[Params], str]) -> None:
    """Run the stage `name`, print the sentence that `run` returns, if any, and exit."""
    parser = argparse.ArgumentParser(prog=f"python -m pipeline.{name}", description=sys.modules["__main__"].__doc__)
    parser.add_argument("-v", "--verbose", action="store_true", help="show what happens, and tracebacks")
    verbose = parser.parse_args().verbose
    set_up_logging(name, verbose=verbose)
    try:
        said = run(read_params())
        if said:
            print(f"{name}: {said}", flush=True)
    except (KeyboardInterrupt, SystemExit):  # Lightning makes the one into the other.
        store.restore_outputs(name)
        print(f"{name}: interrupted; nothing is lost, run `dvc repro` to go on", file=sys.stderr)
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is said in one line)
        store.restore_outputs(name)
        complain(name, error, f"python -m pipeline.{name} -v")
        sys.exit(1)
