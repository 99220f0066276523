"""`pipeline`: what DVC does not do itself."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline import paths
from pipeline.commands import accept, fresh, run
from pipeline.commands.classes import command as classes
from pipeline.commands.data import command as data
from pipeline.commands.forget import command as forget
from pipeline.commands.history import command as history
from pipeline.commands.merge import command as merge
from pipeline.commands.next import command as next_images
from pipeline.commands.serve import command as serve
from pipeline.commands.status import command as status
from pipeline.commands.suspects import command as suspects
from pipeline.commands.terminal import complain, set_up_logging
from pipeline.commands.trial import command as trial
from pipeline.commands.upgrade import command as upgrade
from pipeline.commands.watch import command as watch
from pipeline.errors import RecordError
from pipeline.signals import INTERRUPTED

# The commands, by what people want to do.
GROUPS = {
    "data": (data, classes, suspects, next_images, forget),
    "training": (status, trial, watch, fresh, upgrade, run),
    "models": (history, accept, serve),
    "team": (merge,),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` name; returns the exit status."""
    args = _parser().parse_args(arguments)
    name = getattr(args, "stage", "pipeline")  # A stage speaks in its own name.
    set_up_logging(name, verbose=args.verbose)
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        _check_folder()
        return run(args)
    except KeyboardInterrupt:
        print("pipeline: interrupted; no file is half-written", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # Of `| head`, say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Or Python would complain when it ends.
        return 1
    except Exception as error:  # noqa: BLE001 (whatever it is, it is said in one line)
        complain(name, error, f"pipeline {' '.join(filter(None, [args.command, getattr(args, 'stage', '')]))} -v")
        return 1


def _check_folder() -> None:
    """See that the working directory is not a folder inside a project: our paths begin in its own folder."""
    if paths.PIPELINE.exists():
        return
    for folder in Path.cwd().parents:
        if (folder / paths.PIPELINE).exists() and (folder / paths.PARAMS).exists():
            where = os.path.relpath(folder)
            raise RecordError(Path.cwd(), "a folder inside the project", f"run `cd {where}`, then this again")


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    parser = argparse.ArgumentParser(
        prog="pipeline", usage="pipeline COMMAND [-h] …", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", prog="pipeline", help=argparse.SUPPRESS
    )
    lines = ["Manage the images in data/raw; inspect, compare and export models."]

    def command(run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        name = run.__name__.strip("_").replace("_", "-")
        lines.append(f"  {name:14}{about}")
        sub = commands.add_parser(name, parents=[common], description=f"{about[0].upper()}{about[1:]}.")
        sub.set_defaults(run=run)
        return sub

    for group, themes in GROUPS.items():
        lines += ["", f"{group}:"]
        for theme in themes:
            theme.register(command)
    parser.description = "\n".join(lines)
    return parser
