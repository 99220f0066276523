"""`pipeline forget`: delete images for good, for example after a deletion request."""

import argparse
from functools import partial
from typing import TYPE_CHECKING

from pipeline import paths
from pipeline.commands.parsing import Register
from pipeline.errors import ImagesError, MissingDataError, RecordError
from pipeline.text import counted, shown

if TYPE_CHECKING:
    from pipeline.commands.forget.plan import Plan

YES = "yes"
# Not the folder of the other commands, since ingest, which runs meanwhile, writes a file of that name.
FOLDER = paths.PROGRESS / "forgetting"


def register(command: Register) -> None:
    """Add `pipeline forget`."""
    sub = command(_forget, "delete images for good: files, stored copies, and models that have seen them")
    help_ = "a file, an id, a source in index.parquet, or a glob; default: what data/forgotten.csv lists"
    sub.add_argument("images", nargs="*", metavar="IMAGE", help=help_)
    sub.add_argument("--dry-run", action="store_true", help="only show what would be deleted")
    sub.add_argument("--yes", action="store_true", help="delete without asking")


def _forget(args: argparse.Namespace) -> int:
    from pipeline.commands.data.workbench import alone, note_names
    from pipeline.commands.forget import naming
    from pipeline.commands.forget.deletion import carry_out, check
    from pipeline.commands.forget.plan import Plan
    from pipeline.lineage.forgotten import Forgotten
    from pipeline.versioning.running import running_command

    if other := running_command():
        raise RecordError(paths.LOCK, f"{other} is running", "wait until that has ended")
    with alone(FOLDER) as folder:
        names = _names(args.images)
        ids = frozenset(one for found in names.values() for one in found) | Forgotten.read().images
        if not ids:
            print(f"nothing to forget: {paths.FORGOTTEN} lists no image")
            return 0

        search = partial(Plan.of, ids, folder)
        plan = search()
        _check_known(plan, names)
        for line in plan.lines():
            print(shown(line))
        if plan.is_done:
            naming.NOTE.unlink(missing_ok=True)
            print("nothing is left to delete")
            return 0
        if args.dry_run:
            print("nothing was changed; without --dry-run, all of this is deleted after a confirmation")
            return 0
        check(plan)
        if not args.yes and not _is_confirmed():
            print("nothing was changed")
            return 1
        note_names(naming.NOTE, names)
        carry_out(plan, folder, search, lambda what: print(f"forget: {what}", flush=True))
        _verify(search())
        naming.NOTE.unlink(missing_ok=True)
    _print_next(len(ids))
    return 0


def _names(images: list[str]) -> dict[str, list[str]]:
    """Return the ids that each of `images` stands for."""
    from pipeline.commands.forget.naming import ids_of
    from pipeline.commands.holdings import Holdings

    return ids_of(images, Holdings.read() if images and paths.RAW.is_dir() else Holdings.none())


def _check_known(plan: "Plan", names: dict[str, list[str]]) -> None:
    """Check that each given id belongs to a known image, since a mistyped id would stay in Git forever."""
    from pipeline.lineage.forgotten import Forgotten

    if not plan.is_done or plan.remnants.models:
        return
    for name, ids in names.items():
        if not Forgotten.read().images.issuperset(ids):
            raise ImagesError(name, "nothing holds such an image", "check the id, or run `pipeline trace`")


def _is_confirmed() -> bool:
    """Whether the user confirms the deletion at the terminal."""
    print(f"This cannot be undone. Type {YES} to delete all of it: ", end="", flush=True)
    try:
        return input().strip() == YES
    except EOFError:
        print()
        return False


def _verify(plan: "Plan") -> None:
    """Check that nothing is left to delete.

    Raises:
        MissingDataError: something was added while the command was running.
    """
    if not plan.is_done:
        left = [*(str(path) for path in (*plan.shards, *plan.files)), *(one.name for one in plan.remnants.found)]
        where = (left or [one.name for one in plan.places])[0]
        raise MissingDataError(where, "it is still there", "run `pipeline forget` again")


def _print_next(images: int) -> None:
    print(f"forgotten: {counted(images, 'image')}; no file here, in the cache and on the remotes holds it any more")
    print("next: `dvc repro`, `git add --all && git commit`, `dvc push`, `git push`; in every other clone `git pull`,")
    print("`dvc pull` and `pipeline forget`. Git's history still names it: docs/deletion.md says what stays.")
