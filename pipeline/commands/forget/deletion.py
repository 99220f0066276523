"""Deleting what a plan lists, in an order in which it can be found again until it is gone.

What the search goes by stays to the end and beyond it: listings, indexes, what models have seen. So a kill at any
moment leaves a state that the next `pipeline forget` completes.
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

# Seconds between two looks at whether another command of DVC's has ended.
PAUSE = 1.0
AGAIN = "correct that, then run `pipeline forget` again: it completes this"


def check(plan: Plan) -> None:
    """See that data/raw and data/images are here if the last run has anything of the images: they are made anew.

    Raises:
        ImagesError: they are not.
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
    """Delete all that `plan` lists; unfinished archives lie in `folder`, and `search` makes the plan again.

    Raises:
        ImagesError: an archive cannot be rewritten.
        RecordError: a run of ingest or of `dvc push` failed.
        MissingDataError: a remote cannot be reached any more.
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
        plan = search()  # The run has stored what was not in the cache yet.
        Forgotten.read().note(plan.rows)
    for name in plan.stores_with(ARCHIVE, SHARD) if paths.RAW_DVC.exists() and paths.RAW.is_dir() else ():
        say(f"pushing what takes its place to {name}")
        _push(name.removeprefix("remote ").strip("'"))
    say("deleting what was made of it")
    for path in plan.files:
        delete(path)
    for unfinished in plan.elsewhere:
        elsewhere.remove(unfinished)
    # Remotes first: as long as the cache has an object, nobody needs to download it to look into it.
    for store in sorted(plan.objects.stores, key=lambda store: store.name == CACHE):
        doomed = [one.oid for one in plan.remnants.found if one.oid in store.oids]
        say(f"deleting from the {store.name}")
        for oid in tqdm(doomed, store.name, unit=" objects", disable=None):
            store.delete(oid)
        store.settle()


def _push(remote: str) -> None:
    """Have all of data/raw, data/shards and data/images on `remote`."""
    # Apart: where .dvc files come before outputs, DVC 3.67 pushes what the last of those files lists, and no more.
    for together in ((paths.RAW_DVC, paths.SHARDS_DVC), (paths.IMAGES,)):
        if targets := [str(path) for path in together if path.exists()]:
            _run("push", "--remote", remote, *targets)


def _run(*arguments: str) -> None:
    """Run a command of DVC's to its end; what it prints is shown.

    One that a killed `pipeline forget` has left behind is waited for.
    """
    sys.stdout.flush()
    while status := subprocesses.run([*subprocesses.DVC, *arguments], cwd=Path.cwd(), env=subprocesses.environment()):
        if running_command() is None:
            raise RecordError(f"dvc {' '.join(arguments)}", f"ended with status {status}, see above", AGAIN)
        while running_command() is not None:
            time.sleep(PAUSE)
