"""Delete everything that a plan lists, in an order that allows an interrupted deletion to be completed.

The files that the search reads (listings, indexes, seen.npz of models) are kept. So whenever the process is killed,
the next `pipeline forget` finds what is left.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from pipeline import paths
from pipeline.commands import subprocesses
from pipeline.commands.data.removal import remove
from pipeline.commands.forget import elsewhere
from pipeline.commands.forget.plan import Plan
from pipeline.commands.forget.remnants import ARCHIVE, SHARD
from pipeline.commands.forget.stores import CACHE
from pipeline.commands.forget.workspace import delete
from pipeline.errors import ImagesError, RecordError
from pipeline.ingestion.erasure import note_erased
from pipeline.lineage.forgotten import Forgotten
from pipeline.versioning.lock import read_raw_hash, read_record
from pipeline.versioning.removals import note_removals
from pipeline.versioning.running import running_command

# Seconds between two checks whether another DVC command has ended.
PAUSE = 1.0
AGAIN = "correct that, then run `pipeline forget` again: it completes this"


def check(plan: Plan) -> None:
    """Check that data/raw is present if it, or what was made from it, contains one of the images: it is rewritten.

    Raises:
        ImagesError: data/raw is needed and missing.
    """
    if paths.RAW.is_dir() or not paths.RAW_DVC.exists():
        return
    doomed = {one.oid for one in plan.remnants.found}
    recorded = [read_raw_hash(path) for path in (paths.RAW_DVC, paths.SHARDS_DVC) if path.exists()]
    if "ingest" in (record := read_record()):
        recorded.append(record["ingest"].outs.get(paths.IMAGES.as_posix(), ""))
    if any(not doomed.isdisjoint((plan.objects.listing(oid) or {}).values()) for oid in recorded):
        raise ImagesError(paths.RAW, "not here, and the images are in it", f"run `dvc pull {paths.RAW_DVC}`, then this")


def carry_out(plan: Plan, folder: Path, search: Callable[[], Plan], say: Callable[[str], None]) -> None:
    """Delete everything that `plan` lists; `folder` is for unfinished archives, and `search` makes the plan again.

    Raises:
        ImagesError: an archive cannot be rewritten.
        RecordError: ingest or `dvc push` failed.
        MissingDataError: a remote can no longer be reached.
    """
    say("noting what is to be forgotten")
    Forgotten.read().note(plan.rows)
    note_erased(plan.ids)
    note_removals(plan.ids)
    if plan.places:
        say(f"taking it out of {paths.RAW}")
        remove(plan.places, [], plan.held, folder)
    if paths.RAW.is_dir() and "ingest" in read_record():
        say(f"writing {paths.IMAGES} without it")
        _run("repro", "ingest")
        plan = search()  # The run may have added objects to the cache.
        Forgotten.read().note(plan.rows)
    for name in plan.stores_with(ARCHIVE, SHARD) if paths.RAW_DVC.exists() and paths.RAW.is_dir() else ():
        say(f"pushing what takes its place to {name}")
        _push(name.removeprefix("remote ").strip("'"))
    say("deleting what was made from it")
    for path in plan.files:
        delete(path)
    for unfinished in plan.elsewhere:
        elsewhere.remove(unfinished)
    # Remotes first: while the cache still has an object, it can be inspected without a download.
    for store in sorted(plan.objects.stores, key=lambda store: store.name == CACHE):
        doomed = [one.oid for one in plan.remnants.found if one.oid in store.oids]
        say(f"deleting from the {store.name}")
        for oid in tqdm(doomed, store.name, unit=" objects", disable=None):
            store.delete(oid)
        store.settle()


def _push(remote: str) -> None:
    """Push all of data/raw, data/shards and data/images to `remote`."""
    # Two commands: if .dvc files precede outputs, DVC 3.67 pushes only what the last .dvc file lists.
    for together in ((paths.RAW_DVC, paths.SHARDS_DVC), (paths.IMAGES,)):
        if targets := [str(path) for path in together if path.exists()]:
            _run("push", "--remote", remote, *targets)


def _run(*arguments: str) -> None:
    """Run a DVC command until it ends, and show its output.

    If another DVC command is still running, for example one left by a killed `pipeline forget`, wait and try again.
    """
    sys.stdout.flush()
    while status := subprocesses.run([*subprocesses.DVC, *arguments], cwd=Path.cwd(), env=subprocesses.environment()):
        if running_command() is None:
            raise RecordError(f"dvc {' '.join(arguments)}", f"ended with status {status}, see above", AGAIN)
        while running_command() is not None:
            time.sleep(PAUSE)
