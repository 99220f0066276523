"""`pipeline log`, `replay` and `trace`: list, retrain and search the generations in Git's history."""

import argparse
import json
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline import paths
from pipeline.commands.parsing import Register
from pipeline.commands.terminal import print_table
from pipeline.errors import RecordError
from pipeline.text import counted, short, shown
from pipeline.versioning.lock import read_record

if TYPE_CHECKING:
    from pipeline.commands.history.holders import Holders


HEADER = (
    "",
    "when",
    "who",
    "start",
    "images",
    "new",
    "removed",
    "steps",
    "accuracy",
    "gate",
    "base",
    "model",
    "commit",
)


def register(command: Register) -> None:
    """Add `pipeline log`, `replay` and `trace`."""
    sub = command(_log, "list the generations that Git's history records, newest first")
    sub.add_argument("revision", nargs="?", default="HEAD", metavar="REV", help="a revision; default: HEAD")
    how = sub.add_mutually_exclusive_group()
    how.add_argument("--graph", action="store_true", help="draw branches and merges")
    how.add_argument("--json", action="store_true", help="print all that is recorded, as JSON")
    sub = command(_replay, "train a recorded generation again in a temporary folder, and compare the models")
    which = sub.add_mutually_exclusive_group()
    which.add_argument(
        "revision",
        nargs="?",
        default="HEAD",
        metavar="REV",
        help="a revision; default: the newest",
    )
    which.add_argument("--all", action="store_true", help="every generation of HEAD's history, oldest first")
    sub.add_argument("--json", action="store_true", help="print all that was found, as JSON")
    sub = command(_trace, "list the generations, of any branch, that have seen an image")
    sub.add_argument("image", metavar="IMAGE|ID", help="a file, an id or its beginning, or a source in index.parquet")
    sub.add_argument("--json", action="store_true", help="print all that was found, as JSON")


def _log(args: argparse.Namespace) -> int:
    from pipeline.commands.history.log_rows import as_json, as_row
    from pipeline.lineage.acceptance import read_judgements
    from pipeline.lineage.forgotten import Forgotten
    from pipeline.lineage.history import drawing

    judged, forgotten = read_judgements(), Forgotten.read().models
    lines = drawing(args.revision)
    trained = [line.training for line in lines if line.training is not None]
    if args.json:
        models = [training.recorded.model for training in trained]
        told = [
            as_json(training, judged.get(model), is_forgotten=model in forgotten)
            for training, model in zip(trained, models, strict=True)
        ]
        print(json.dumps(told, indent=2, ensure_ascii=False))
    elif trained:
        rows = [list(HEADER)]
        for drawn, training in lines:
            if training is not None:
                model = training.recorded.model
                cells = map(shown, as_row(training, judged.get(model), is_forgotten=model in forgotten))
                rows.append([drawn if args.graph else "", *cells])
            elif args.graph:
                rows.append([drawn, *[""] * (len(HEADER) - 1)])
        print_table(rows)
    else:
        print("no commit records a training yet; `dvc repro`, then `git commit`, makes one")
    if args.revision == "HEAD" and not args.json:
        _say_uncommitted({training.recorded.model for training in trained})
    _warn_if_shallow()
    return 0


def _say_uncommitted(models: set[str]) -> None:
    """Print a line if the model in dvc.lock is not among the committed `models`."""
    with suppress(RecordError):  # For example during a merge.
        train = read_record().get("train")
        model = train.outs.get(paths.MODEL.as_posix()) if train else None
        if model and model not in models:
            print(f"not committed yet: {short(model)}; run `git add --all && git commit`")


def _replay(args: argparse.Namespace) -> int:
    shallow = _warn_if_shallow()
    from pipeline.commands.history.replay import newest, replay, replay_all

    # Keep standard output for this command's own lines; the output of training goes to standard error.
    stdout = sys.stderr.fileno() if args.all or args.json else None
    outcomes = []
    for outcome in replay_all("HEAD", stdout=stdout) if args.all else [replay(newest(args.revision), stdout=stdout)]:
        outcomes.append(outcome)
        if not args.json:
            print(shown(str(outcome)), flush=True)
    reproduced, forgotten = (sum(getattr(one, name) for one in outcomes) for name in ("reproduced", "forgotten"))
    expected = len(outcomes) - forgotten if args.all else len(outcomes)
    if args.json:
        print(json.dumps([outcome.as_json() for outcome in outcomes], indent=2, ensure_ascii=False))
    elif args.all:
        told = f"; {forgotten:,} are forgotten" if forgotten else ""
        print(f"{reproduced} of {expected} generations reproduced, bit for bit{told}")
    return 0 if reproduced == expected and not (args.all and shallow) else 1


def _trace(args: argparse.Namespace) -> int:
    shallow = _warn_if_shallow()
    from pipeline.commands.history.tracing import advice, erasing, trace

    found = trace(args.image)
    troubles = list(filter(None, [*(one.trouble for one in found.sightings), found.holders.trouble]))
    if args.json:
        print(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
    else:
        print(shown(str(found)))
        told = [list(map(shown, one.as_row())) for one in found.sightings if one.how != "unseen"]
        if told:
            print_table([["", "when", "how", "label", "held out", "model", "commit"], *told])
        _print_holders(found.holders)
        for said in filter(None, [advice(found), erasing(found)]):
            print(shown(said))
    for trouble in troubles:
        print(f"pipeline: {shown(trouble)}", file=sys.stderr)
    return 1 if shallow or troubles else 0


def _print_holders(holders: "Holders") -> None:
    if holders.found:
        rows = [list(map(shown, one.as_row())) for one in holders.found]
        print_table([["its bytes are in", "md5", "where"], *rows])
    if holders.unknown:
        what = counted(holders.unknown, "recorded version")
        print(f"unknown, since the cache lacks its index: {what} of {paths.IMAGES}")


def _warn_if_shallow() -> bool:
    from pipeline.lineage.history import is_shallow

    shallow = is_shallow()
    if shallow:
        print("pipeline: this clone is shallow; `git fetch --unshallow` brings the rest", file=sys.stderr)
    return shallow
