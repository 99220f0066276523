"""Training whenever images come: `pipeline watch`."""

import argparse

from pipeline.commands.parsing import Register


def register(command: Register) -> None:
    """Add this command."""
    sub = command(_watch, "wait for new images to settle in data/raw, and run `dvc repro` whenever they have")
    sub.add_argument(
        "--settle",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long nothing must have changed there, so that what is half copied is waited for (default: 10)",
    )
    sub.add_argument("--commit", action="store_true", help="commit what each run records, and nothing else")
    sub.add_argument("--push", action="store_true", help="commit, then `dvc push` and `git push`, in this order")
    sub.add_argument("--once", action="store_true", help="end after one run, or where there is nothing to do")
    sub.epilog = (
        "-v shows what the commands print, too. Folders on a network send no events; they are looked at every 30 "
        "seconds, or by polling where WATCHFILES_FORCE_POLLING=1 is set."
    )


def _watch(args: argparse.Namespace) -> int:
    from pipeline.commands.watch.watching import WatchOptions, watch

    wishes = WatchOptions(
        settle=args.settle, commit=args.commit or args.push, push=args.push, once=args.once, live=args.verbose
    )
    return watch(wishes)


def seconds(text: str) -> float:
    """A duration; named for the message of argparse."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value
