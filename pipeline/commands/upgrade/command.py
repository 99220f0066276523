"""`pipeline upgrade`, which is run after another release of the code was merged."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TextIO

from pipeline import paths
from pipeline.commands.parsing import Register
from pipeline.text import counted, shown

if TYPE_CHECKING:
    from pipeline.commands.upgrade.stage_changes import StageChange
    from pipeline.params import Params


UNCHANGED = "nothing has changed: runs only if its inputs change"
NEXT = "next: `dvc repro`, then `git add --all && git commit`"


def register(command: Register) -> None:
    """Add this command."""
    sub = command(_upgrade, "show what a newer release reruns, and keep the model if it trains the same weights")
    sub.add_argument("--json", action="store_true", help="print the changes as JSON")
    how = sub.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help=f"show the changes, and leave {paths.LOCK} as it is")
    how.add_argument(
        "--fetch",
        nargs="?",
        const="",
        metavar="SOURCE",
        help="first merge the newest release of SOURCE, or of where `pipeline init` made this project from",
    )


def _fetch(args: argparse.Namespace) -> int:
    from pipeline.commands.init.release import Release, bring

    before = Release.read()
    newest, conflicts = bring(before, args.fetch or None)
    out = sys.stderr if args.json else sys.stdout
    if newest.commit == before.commit:
        print(f"release {newest.commit[:7]} is the newest of {shown(newest.source)}", file=out)
    else:
        print(f"merged: {before.commit[:7]} to {newest.commit[:7]} of {shown(newest.source)}", file=out, flush=True)
    if conflicts:
        print(f"conflicts left: {shown(', '.join(conflicts))}; resolve them, then `pipeline upgrade`", file=out)
        return 1
    flags = [f"--{name}" for name in ("json", "verbose", "quiet") if getattr(args, name)]
    # Run again with the new code.
    return os.execv(sys.executable, [sys.executable, "-m", "pipeline", "upgrade", *flags])  # noqa: S606


def _upgrade(args: argparse.Namespace) -> int:
    if args.fetch is not None:
        return _fetch(args)
    from pipeline.commands.status.forecast import decoded_again
    from pipeline.commands.upgrade.settlement import keep_decoded, settle
    from pipeline.commands.upgrade.stage_changes import StageChange
    from pipeline.params import read_params
    from pipeline.versioning.definition import read_definition
    from pipeline.versioning.lock import read_record
    from pipeline.versioning.weights import is_outdated, why_retrain, with_neutral_params

    params, record = read_params(), read_record()
    if not args.dry_run:
        _take_over(params, sys.stderr if args.json else sys.stdout)
    now = read_definition()
    if "train" in record:
        record = {**record, "train": with_neutral_params(record["train"], now["train"])}
    changes = {name: StageChange.between(record[name], now[name]) for name in now if name in record and now[name].deps}
    if not any(changes.values()):
        nothing = f"nothing to upgrade: {paths.LOCK} records this code" if changes else "nothing was trained yet"
        print(json.dumps({"stages": {}}) if args.json else nothing)
        return 0
    train = record.get("train")
    is_due = train is not None and is_outdated(train, now["train"])
    why = why_retrain(train, now["train"]) if train and is_due else None
    if train and is_due and why is None:
        changes["train"] = StageChange.between(with_neutral_params(train, now["train"]), now["train"])
    told = dict(_outcomes(changes, again=decoded_again(record, params), why=why))
    if not args.dry_run and is_due and why is None:
        settle("train")
    kept = not args.dry_run and keep_decoded(params)
    if args.json:
        stages = {name: {**changes[name]._asdict(), "outcome": text} for name, text in told.items()}
        print(json.dumps({"stages": stages}, indent=2, ensure_ascii=False))
        return 0
    for name, text in {**told, **({"decoded": f"the images in {paths.DECODED} are kept"} if kept else {})}.items():
        print(shown(f"{name:10}{text}"))
    if not args.dry_run:
        print(NEXT)
    return 0


def _take_over(params: "Params", out: TextIO) -> None:
    """Convert what another release left in this project to the form of this release."""
    from pipeline.images.shard_files import adopt_earlier_layout
    from pipeline.versioning.own_code.listing import bring_in_step

    if listing := bring_in_step(params):  # A merge may have lost its lines, or brought a release.
        print(f"{paths.PIPELINE} now {listing}", file=out)
    if adopt_earlier_layout():
        print(f"{paths.SHARDS} now holds the shards that were in {paths.IMAGES}; `dvc repro` tracks them", file=out)


def _outcomes(changes: "Mapping[str, StageChange]", *, again: int, why: str | None) -> Iterator[tuple[str, str]]:
    """Yield what happens to each stage, given its changes; `why` is the release's reason to retrain, if any."""
    outcomes = {
        "ingest": f"runs again, and decodes {counted(again, 'image') if again else 'no image'} again",
        "manifest": "runs again; training follows only if images or base change",
        "train": _of_training(changes["train"], why) if "train" in changes else "",
        "evaluate": "runs again",
    }
    for name, change in changes.items():
        yield name, f"{change}: {outcomes.get(name, 'runs again')}" if change else UNCHANGED


def _of_training(change: "StageChange", why: str | None) -> str:
    if why is not None:
        return f"runs again, from the base of the recorded model: {why}"
    if change.params:
        return "runs again, for its params alone"
    return "does not run: this release trains the same weights, so the model stays"
