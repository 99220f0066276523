"""What the `__main__` of every stage does: read params.yaml, run, say it in one line.

An error that the user can mend becomes one line and exit 1, without a traceback unless `-v` asks for it.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from pipeline import STARTED, store
from pipeline.console import complain, set_up_logging
from pipeline.durations import Duration, kind_of, note
from pipeline.params import Params, read_params


class Done(NamedTuple):
    """What a stage did."""

    said: str
    """The same in a sentence."""
    amount: int
    """How many images or steps it worked on, whatever takes the stage its time."""


def main(name: str, run: Callable[[Params], Done | None]) -> None:
    """Run the stage `name`, and say what it did; nothing where `run` leaves that to another process."""
    parser = argparse.ArgumentParser(prog=f"python -m pipeline.{name}", description=sys.modules["__main__"].__doc__)
    parser.add_argument("-v", "--verbose", action="store_true", help="show what happens, and tracebacks")
    verbose = parser.parse_args().verbose
    set_up_logging(name, verbose=verbose)
    try:
        params, began = read_params(), time.monotonic()
        done = run(params)
        if done is not None:
            print(f"{name}: {done.said}", flush=True)
            start, work = began - STARTED, time.monotonic() - began
            note(Duration(stage=name, kind=kind_of(name, params), amount=done.amount, start=start, work=work))
    except (KeyboardInterrupt, SystemExit):  # Lightning makes the one into the other.
        store.restore_outputs(name)
        print(f"{name}: interrupted; nothing is lost, run `dvc repro` to go on", file=sys.stderr)
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is said in one line)
        store.restore_outputs(name)
        complain(name, error, f"python -m pipeline.{name} -v")
        sys.exit(1)
