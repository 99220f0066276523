"""`pipeline`: what DVC does not do itself. Puts images into data/raw and out of it, and tells what has been trained.

Nothing here changes an id or trains anything; `dvc repro` does, afterwards.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline import paths
from pipeline.console import complain, set_up_logging, shown
from pipeline.errors import ImagesError

# Longer lists are cut.
MOST = 20


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
        prog="pipeline", description="Puts images into data/raw and out of it, and tells what has been trained."
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def command(run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        name = run.__name__.strip("_")
        sub = commands.add_parser(name, parents=[common], help=about, description=f"{about[0].upper()}{about[1:]}.")
        sub.set_defaults(run=run)
        return sub

    for run, about in (
        (_check, "say what ingest would do with images"),
        (_add, "put images into data/raw, as one archive"),
    ):
        sub = command(run, about)
        sub.add_argument(
            "paths", nargs="+", type=Path, metavar="PATH", help="a folder of class folders, an archive, a file"
        )
        sub.add_argument("--label", metavar="L", help="the class of them all, whatever folders they lie in")
    sub = command(_remove, "take images out of data/raw, every copy of them, from archives too")
    sub.add_argument("patterns", nargs="+", metavar="ID|SOURCE|GLOB", help="as index.parquet and refused.csv name them")
    sub.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    sub = command(_pack, "turn the loose images of data/raw into archives")
    sub.add_argument("--min", type=int, default=1, metavar="N", help="leave fewer than N as they are")
    sub = command(_log, "tell the generations that Git's history records, newest first")
    sub.add_argument("revision", nargs="?", default="HEAD", metavar="REV", help="a branch, tag or commit; HEAD if none")
    how = sub.add_mutually_exclusive_group()
    how.add_argument("--graph", action="store_true", help="draw branches and merges")
    how.add_argument("--json", action="store_true", help="print all that is recorded, for programs")
    return parser


def _check(args: argparse.Namespace) -> int:
    from pipeline.params import read_params
    from pipeline.survey import survey

    found = survey(args.paths, args.label, read_params())
    columns = [Counter(label for label, _ in found.new), Counter(label for label, _ in found.known), found.copies]
    labels = sorted(set().union(*columns))
    rows = [[shown(label), *(column[label] for column in columns)] for label in labels]
    _print_table([["class", "new", "known", "copies"], *rows, ["all", *(column.total() for column in columns)]])
    _print_refused(found.refused)
    return 1 if found.refused else 0


def _add(args: argparse.Namespace) -> int:
    from pipeline.addition import add, check_outside
    from pipeline.params import read_params
    from pipeline.survey import survey
    from pipeline.workbench import alone

    check_outside(args.paths)
    with alone() as folder:
        found = survey(args.paths, args.label, read_params())
        _print_refused(found.refused)
        beside = f"{len(found.known):,} known already, {found.copies.total():,} copies, {len(found.refused):,} refused"
        if not found.new and found.refused and not found.known:
            raise ImagesError(shown(str(args.paths[0])), "no image in it can be used", "see the reasons above")
        if not found.new:
            print(f"nothing new: {beside}")
            return 0
        archive = add(found.new, folder)
    print(f"added {len(found.new):,} images as {archive}; {beside}")
    _print_next()
    return 0


def _remove(args: argparse.Namespace) -> int:
    from pipeline.removal import choose, holdings, remove

    with _workbench() as folder:
        held = holdings()
        named, copies = choose(args.patterns, held)
        if not args.dry_run:
            remove(named, copies, held, folder)
    gone = [*named, *copies]
    images = len({source.id or source.name for source in gone})
    print(f"{'would remove' if args.dry_run else 'removed'} {images:,} images from {len(gone):,} places:")
    _print_lines([source.name for source in gone])
    if not args.dry_run:
        _print_next()
    return 0


def _pack(args: argparse.Namespace) -> int:
    from pipeline.packing import loose_images, pack

    with _workbench() as folder:
        images = loose_images()
        if len(images) < max(1, args.min):
            print(f"{len(images):,} loose images, left as they are")
            return 0
        archives, before = pack(images, folder)
    print(f"packed {len(images):,} images into {len(archives):,} archives" + (f", {before:,} before" if before else ""))
    _print_lines([str(path) for path in archives])
    _print_next()
    return 0


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
        _print_table([header, *rows])
    else:
        print("no commit records a training yet; `dvc repro`, then `git commit`, makes one")
    if is_shallow():
        print("pipeline: this clone is shallow; `git fetch --unshallow` brings the rest", file=sys.stderr)
    return 0


@contextmanager
def _workbench() -> Iterator[Path]:
    """Where to change what is in data/raw, which must be there."""
    from pipeline.workbench import alone

    if not paths.RAW.is_dir():
        mend = f"run `dvc pull {paths.RAW_DVC}`" if paths.RAW_DVC.exists() else "run this in the project's folder"
        raise ImagesError(paths.RAW, "no such folder", mend)
    with alone() as folder:
        yield folder


def _print_refused(refused: Sequence[tuple[str, tuple[str, str]]]) -> None:
    if refused:
        print(f"refused {len(refused):,}:")
        _print_lines([f"{name}: {reason} ({detail})" for name, (reason, detail) in refused])


def _print_lines(lines: list[str]) -> None:
    for line in lines[:MOST]:
        print(f"  {shown(line)}")
    if len(lines) > MOST:
        print(f"  … and {len(lines) - MOST:,} more")


def _print_table(rows: Sequence[Sequence[object]]) -> None:
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for first, *rest in cells:
        numbers = "  ".join(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        print(f"{first.ljust(widths[0])}  {numbers}")


def _print_next() -> None:
    print(f"next: {'dvc repro' if paths.RAW_DVC.exists() else f'dvc add {paths.RAW} && dvc repro'}")
