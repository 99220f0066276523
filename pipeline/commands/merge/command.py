"""Working with others through Git: `pipeline setup`, `resolve`, `sync`, and the merge driver that Git calls."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import paths
from pipeline.commands.parsing import Register
from pipeline.commands.terminal import complain, print_lines
from pipeline.text import counted, shown

if TYPE_CHECKING:
    from pipeline.commands.merge.listings import Side


def register(command: Register) -> None:
    """Add these commands."""
    command(_setup, "set up Git to merge the pipeline's files and to keep data/raw in sync; list own code in dvc.yaml")
    sub = command(_resolve, "resolve the conflicts of a merge in the pipeline's files")
    _whose(sub, "where both sides changed a file of data/raw, take {} (in Git's terms)")
    sub = command(_sync, "bring data/raw in sync with data/raw.dvc after a pull, merge or checkout")
    whose = _whose(sub, "where a file was changed both locally (ours) and in Git (theirs), take {}")
    whose.add_argument("--keep", action="store_true", help="keep data/raw as it is; the next `dvc repro` records it")
    whose.add_argument(
        "--restore",
        action="store_true",
        help="restore missing files that the last commit lists or the last run recorded",
    )
    sub.add_argument("--hook", action="store_true", help=argparse.SUPPRESS)
    sub = command(_merge_driver, "merge one of the pipeline's files; Git calls it, see `git help attributes`")
    for name in ("ancestor", "ours", "theirs"):
        sub.add_argument(name, type=Path)
    sub.add_argument("path", help="path of the file")


def _whose(sub: argparse.ArgumentParser, about: str) -> argparse._MutuallyExclusiveGroup:
    whose = sub.add_mutually_exclusive_group()
    for side in ("ours", "theirs"):
        whose.add_argument(f"--{side}", action="store_const", const=side, dest="take", help=about.format(side))
    return whose


def _setup(args: argparse.Namespace) -> int:
    del args
    from pipeline.commands.merge.hooks import set_up
    from pipeline.commands.merge.sync import begin
    from pipeline.params import read_params
    from pipeline.versioning.own_code.listing import bring_in_step

    left = set_up()
    begin()
    if listing := bring_in_step(read_params()):
        print(f"{paths.PIPELINE} now {listing}")
    print("set up: Git merges the pipeline's files, and keeps data/raw in sync with data/raw.dvc")
    for name in left:
        print(f"but the hook {name} is your own: let it call `pipeline sync`, too", file=sys.stderr)
    return 0


def _resolve(args: argparse.Namespace) -> int:
    from pipeline.commands.merge.conflicts import resolve
    from pipeline.git import unfinished

    merged, left = resolve(args.take)
    if merged:
        print(f"resolved {counted(len(merged), 'file')}:")
        print_lines(merged)
    has_merged_raw, operation = paths.RAW_DVC.as_posix() in merged, unfinished()
    # An earlier `resolve` may have been killed after it merged data/raw.dvc.
    if paths.RAW_DVC.as_posix() not in left and (has_merged_raw or operation) and paths.RAW.is_dir():
        _say_sync(None, quietly=not has_merged_raw)
    if left:
        print(f"conflicts left: {', '.join(map(shown, left))}")
        return 1
    next_step = "next: git commit (or git rebase --continue), then dvc repro"
    print(next_step if merged or operation else "no conflicts")
    return 0


def _sync(args: argparse.Namespace) -> int:
    from pipeline.commands.merge.sync import keep, restore
    from pipeline.versioning.raw.absence import read_absent

    if args.keep:
        keep()
        print(f"{paths.RAW} is kept; the next dvc repro records it as it is")
        return 0
    if args.restore:
        added = restore().added
        print(
            f"{paths.RAW}: {counted(added, 'file')} brought back; next: dvc repro"
            if added
            else f"{paths.RAW}: nothing to bring back"
        )
        return 0
    if not paths.RAW.is_dir() and read_absent() is None:
        print(f"nothing of {paths.RAW} is here, so nothing has to follow {paths.RAW_DVC}")
        return 0
    _say_sync(args.take, quietly=args.hook)
    return 0


def _say_sync(take: "Side | None", *, quietly: bool) -> None:
    from pipeline.commands.merge.sync import sync

    change = sync(take)
    if any(change):
        remote = f" ({change.absent:,} of them on the remote only)" if change.absent else ""
        moved = f", {change.moved:,} moved" if change.moved else ""
        came = f"{counted(change.added, 'file')} added{remote}"
        counts = f"{came}, {change.removed:,} removed, {change.changed:,} changed{moved}"
        print(
            f"{paths.RAW}: {counts}, as {paths.RAW_DVC} says; next: dvc repro, after dvc pull where others have trained"
        )
    elif not quietly:
        print(f"{paths.RAW} is in sync with {paths.RAW_DVC}")


def _merge_driver(args: argparse.Namespace) -> int:
    from pipeline.commands.merge.conflicts import mark_conflict
    from pipeline.commands.merge.merging import Versions, merge_file

    versions = (args.ancestor, args.ours, args.theirs)
    try:
        merged = merge_file(args.path, Versions(*(version.read_bytes() for version in versions)))
    except Exception as error:  # noqa: BLE001 (after any error, nobody must take one side for the result)
        mark_conflict(*versions)
        complain("pipeline", error, "pipeline resolve -v")
        return 1
    args.ours.write_bytes(merged)
    return 0
