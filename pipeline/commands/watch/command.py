"""The command `pipeline watch`: train whenever new images arrive."""

import argparse

from pipeline.commands.parsing import Register


def register(command: Register) -> None:
    """Add the command to the parser."""
    sub = command(_watch, "run `dvc repro` whenever new images have settled in data/raw")
    sub.add_argument(
        "--settle",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="wait until nothing has changed there for so long, so that no half-copied file is read (default: 10)",
    )
    sub.add_argument("--commit", action="store_true", help="commit what each run records, nothing else")
    sub.add_argument("--push", action="store_true", help="commit, then `dvc push` and `git push`, in this order")
    sub.add_argument("--once", action="store_true", help="stop after one run, or if there is nothing to do")
    sub.epilog = (
        "-v also shows what the commands print. Network folders send no events; they are checked every 30 "
        "seconds, or by polling where WATCHFILES_FORCE_POLLING=1 is set."
    )


def _watch(args: argparse.Namespace) -> int:
    from pipeline.commands.watch.watching import WatchOptions, watch

    wishes = WatchOptions(
        settle=args.settle, commit=args.commit or args.push, push=args.push, once=args.once, live=args.verbose
    )
    return watch(wishes)


def seconds(text: str) -> float:
    """Parse a duration in seconds. argparse shows this function's name in its error message."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value
