"""Run one stage, as `pipeline run` does.

The stage itself is a function of params.yaml and of files. This module does the rest: it prints the stage's summary,
stores its result and duration for other commands, and restores the outputs that DVC removed if the stage fails.
"""

import os
import sys
import time
from collections.abc import Callable

from pipeline.commands import results
from pipeline.commands.durations import Duration, kind_of, note
from pipeline.commands.enlargement import enlargement
from pipeline.commands.terminal import FittedLines
from pipeline.params import Params, read_params
from pipeline.result import Result
from pipeline.signals import INTERRUPTED, hush
from pipeline.text import in_bytes, shown
from pipeline.versioning import outputs
from pipeline.versioning.git_guard import check_followed, committed_hash
from pipeline.versioning.own_code.listing import check_in_step
from pipeline.versioning.raw.recording import add_to_index, note_followed
from pipeline.versioning.raw_files import listed_hash
from pipeline.versioning.remote import received


def run_stage(name: str, stage: Callable[[Params], Result | None]) -> int:
    """Run the stage `name` and print its summary; a process that returns no result prints none.

    Returns:
        The exit status.
    """
    if sys.stdout.isatty():
        sys.stdout = FittedLines(sys.stdout)
    try:
        params = read_params()
        check_in_step(params)
        if name == "train" and _speaks(params):
            _warn_of_enlargement(params)
        before, began, received_before = started_for(), time.monotonic(), received.size
        result = _in_sync_with_git(stage, params) if name == "ingest" else stage(params)
    except (KeyboardInterrupt, SystemExit) as error:  # Lightning turns KeyboardInterrupt into SystemExit.
        hush()
        outputs.restore_outputs(name)
        if error.args != (INTERRUPTED,) and _is_first():
            print(f"{name}: interrupted; nothing is lost, `dvc repro` continues", file=sys.stderr)
        return INTERRUPTED
    except BaseException:
        outputs.restore_outputs(name)
        raise
    if result is not None:
        print(f"{name}: {shown(result.summary)}", flush=True)
        if come := received.size - received_before:
            print(f"{name}: {in_bytes(come)} came from the remote", flush=True)
        results.note(name, result)
        work = time.monotonic() - began
        note(Duration(stage=name, kind=kind_of(name, params), amount=result.amount, start=before, work=work))
    return 0


def _speaks(params: Params) -> bool:
    """Whether this process trains (not only launches training) and is the first among the training processes."""
    return _is_first() and (params.compute.launcher == "none" or "RANK" in os.environ)


def _warn_of_enlargement(params: Params) -> None:
    share = params.train.crop_pct
    if share == "model":
        from pipeline.models.network import crop_pct_of

        share = crop_pct_of(params.train.model, share)
    if larger := enlargement(params, share):
        print(f"train: warning: {larger}", flush=True)


def _is_first() -> bool:
    """Whether this process is the first (rank 0) of those that train together, the one that prints."""
    ranks = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return next(filter(None, ranks), "0") == "0"


def started_for() -> float:
    """Return the seconds since this process started; a stage's imports alone can take seconds."""
    from psutil import Process

    return max(time.time() - float(Process().create_time()), 0.0)


def _in_sync_with_git(ingest: Callable[..., Result | None], params: Params) -> Result | None:
    """Run ingest if data/raw is based on the version that Git lists, and then note which version it is."""
    oid = listed_hash()
    check_followed(oid)
    result = ingest(params, removals_are_recorded=committed_hash() == oid)
    note_followed(oid)
    add_to_index()
    return result
