"""What has been trained, as Git's history tells it: `pipeline log`."""

import argparse
import json
import sys

from pipeline.commands import Register
from pipeline.console import shown
from pipeline.tables import print_table


def register(command: Register) -> None:
    """Add these commands."""
    sub = command(_log, "tell the generations that Git's history records, newest first")
    sub.add_argument("revision", nargs="?", default="HEAD", metavar="REV", help="a branch, tag or commit; HEAD if none")
    how = sub.add_mutually_exclusive_group()
    how.add_argument("--graph", action="store_true", help="draw branches and merges")
    how.add_argument("--json", action="store_true", help="print all that is recorded, for programs")


def _log(args: argparse.Namespace) -> int:
    from pipeline.history import drawing, is_shallow

    lines = drawing(args.revision)
    trained = [line.training for line in lines if line.training is not None]
    if args.json:
        print(json.dumps([training.as_json() for training in trained], indent=2, ensure_ascii=False))
    elif trained:
        header = [
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
        ]
        rows = [
            [
                line.drawn if args.graph else "",
                *(map(shown, line.training.as_row()) if line.training else [""] * (len(header) - 1)),
            ]
            for line in lines
            if args.graph or line.training
        ]
        print_table([header, *rows])
    else:
        print("no commit records a training yet; `dvc repro`, then `git commit`, makes one")
    if is_shallow():
        print("pipeline: this clone is shallow; `git fetch --unshallow` brings the rest", file=sys.stderr)
    return 0
