"""`pipeline`: what DVC does not do itself."""

import argparse
import sys
from collections.abc import Callable, Sequence

from pipeline.commands import history, images, team, watch
from pipeline.console import complain, set_up_logging


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` name; returns the exit status."""
    args = _parser().parse_args(arguments)
    set_up_logging("pipeline", verbose=args.verbose)
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        return run(args)
    except KeyboardInterrupt:
        print("pipeline: interrupted; every file is as it was, or as it should be", file=sys.stderr)
        return 130
    except Exception as error:  # noqa: BLE001 (whatever it is, it is said in one line)
        complain("pipeline", error, f"pipeline {args.command} -v")
        return 1


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    parser = argparse.ArgumentParser(
        prog="pipeline",
        description="Puts images into data/raw and out of it, trains when they come, and tells what has been trained.",
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def command(run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        name = run.__name__.strip("_").replace("_", "-")
        sub = commands.add_parser(name, parents=[common], help=about, description=f"{about[0].upper()}{about[1:]}.")
        sub.set_defaults(run=run)
        return sub

    for theme in (images, history, team, watch):
        theme.register(command)
    return parser
