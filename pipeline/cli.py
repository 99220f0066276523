"""The command line of `pipeline`: commands that DVC does not have."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from difflib import get_close_matches
from pathlib import Path

from pipeline import paths
from pipeline.commands import accept, fresh, register, run
from pipeline.commands.classes import command as classes
from pipeline.commands.data import command as data
from pipeline.commands.forget import command as forget
from pipeline.commands.history import command as history
from pipeline.commands.init import command as init
from pipeline.commands.merge import command as merge
from pipeline.commands.next import command as next_images
from pipeline.commands.report import command as report
from pipeline.commands.serve import command as serve
from pipeline.commands.server import command as server
from pipeline.commands.status import command as status
from pipeline.commands.suspects import command as suspects
from pipeline.commands.terminal import complain, set_up_logging, silenced
from pipeline.commands.trial import command as trial
from pipeline.commands.upgrade import command as upgrade
from pipeline.commands.watch import command as watch
from pipeline.errors import RecordError
from pipeline.signals import INTERRUPTED, hush
from pipeline.text import shown

# Raised by .github/release.sh, as in pyproject.toml and CITATION.cff.
VERSION = "0.1.0"
# The values of `echo $?`.
STATUSES = """exit status:
  0             success
  1             an error, or a failed check: images were refused, a model differs, …
  2             a mistake in the command line
  130           interrupted by ^C"""
# The commands by topic, as `pipeline --help` lists them.
GROUPS = {
    "project": (init, upgrade),
    "data": (data, classes, suspects, next_images, forget),
    "training": (status, trial, watch, fresh, run),
    "models": (report, history, accept, register, serve, server),
    "team": (merge,),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in `arguments` (by default those of the process); returns the exit status."""
    if arguments is None:
        _hand_over()
    args = _parsed(sys.argv[1:] if arguments is None else arguments)
    name = getattr(args, "stage", "pipeline")  # A stage's messages begin with its own name.
    set_up_logging(name, verbose=args.verbose)
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        _check_folder()
        with silenced() if args.quiet and not _is_for_programs(args) else nullcontext():
            return run(args)
    except KeyboardInterrupt:
        hush()
        print("pipeline: interrupted; no file is half-written", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # For example with `| head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Prevents an error of Python at exit.
        return 1
    except Exception as error:  # noqa: BLE001 (each becomes one line)
        complain(name, error, f"pipeline {' '.join(filter(None, [args.command, getattr(args, 'stage', '')]))} -v")
        return 1


def _hand_over() -> None:
    """Continue with the project's own copy of this code if the working directory has one, as `dvc repro` does."""
    own = Path(__file__).relative_to(Path(__file__).parents[1])
    is_project = paths.PIPELINE.exists() and paths.PARAMS.exists() and own.exists()
    if is_project and not own.samefile(__file__) and not sys.flags.safe_path:
        os.execv(sys.executable, [sys.executable, "-m", "pipeline", *sys.argv[1:]])  # noqa: S606


def _is_for_programs(args: argparse.Namespace) -> bool:
    return bool(getattr(args, "json", False)) or getattr(args, "csv", None) is True


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; an unknown command or option is an error with a suggestion, which ends the process."""
    parser = _parser()
    commands = next(one for one in parser._actions if isinstance(one, argparse._SubParsersAction)).choices  # noqa: SLF001
    if not arguments:
        parser.print_help(sys.stderr)
        sys.exit(2)
    name = arguments[0]
    if not name.startswith("-") and name not in commands:
        near = get_close_matches(name, commands, n=1)
        meant = f"the nearest one is {near[0]}" if near else "`pipeline --help` lists them"
        hint = f"run `dvc repro`, or `pipeline run {name}` for that stage alone" if name in run.STAGES else meant
        parser.error(f"there is no command {shown(name)}; {hint}")
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        options = commands[args.command]._option_string_actions  # noqa: SLF001
        near = get_close_matches(unknown[0].partition("=")[0], options, n=1) if unknown[0].startswith("--") else []
        meant = f"; the nearest one to {unknown[0]} is {near[0]}" if near else ""
        commands[args.command].error(f"unrecognized arguments: {shown(' '.join(unknown))}{meant}")
    return args


def _check_folder() -> None:
    """Check that the working directory is not a subfolder of a project, since all paths are relative to its root.

    Raises:
        RecordError: it is.
    """
    if paths.PIPELINE.exists():
        return
    for folder in Path.cwd().parents:
        if (folder / paths.PIPELINE).exists() and (folder / paths.PARAMS).exists():
            where = os.path.relpath(folder)
            raise RecordError(Path.cwd(), "a folder inside the project", f"run `cd {where}`, then run this again")


def _completion(args: argparse.Namespace) -> int:
    import shtab

    parser = _parser()
    for sub in _parsers(parser):
        for action in sub._actions:  # noqa: SLF001 (argparse has no public API for them)
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
                action.help = ""  # shtab does not complete suppressed actions.
            if action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # An attribute of shtab's.
    print(shtab.complete(parser, args.shell))
    return 0


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for sub in action.choices.values():
                yield from _parsers(sub)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    common.add_argument("-q", "--quiet", action="store_true", help="print nothing but warnings, errors and JSON")
    parser = argparse.ArgumentParser(
        prog="pipeline",
        usage="pipeline COMMAND [-h] …",
        epilog=STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"treering {VERSION}", help="print the version and exit")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", prog="pipeline", help=argparse.SUPPRESS
    )
    lines = ["Manage the images in data/raw; inspect, compare and export models."]

    def command(run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        name = run.__name__.strip("_").replace("_", "-")
        lines.append(f"  {name:14}{about}")
        sub = commands.add_parser(name, parents=[common], help=about, description=f"{about[0].upper()}{about[1:]}.")
        sub.set_defaults(run=run)
        return sub

    for group, themes in GROUPS.items():
        lines += ["", f"{group}:"]
        for theme in themes:
            theme.register(command)
    lines += ["", "shell:"]
    sub = command(_completion, 'print the completion script of a shell: eval "$(pipeline completion bash)"')
    sub.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    parser.description = "\n".join(lines)
    return parser
