"""The commands that change or check images in data/raw: `pipeline check`, `add`, `remove` and `pack`.

None of them changes an id or trains a model; run `dvc repro` afterwards.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline import paths
from pipeline.commands.parsing import Register
from pipeline.commands.sheets.saving import page
from pipeline.commands.terminal import print_lines, print_table
from pipeline.errors import ImagesError
from pipeline.text import counted, shown


def register(command: Register) -> None:
    """Add `pipeline check`, `add`, `remove` and `pack`."""
    for run, about in (
        (_check, "show what ingest would do with images"),
        (_add, "add images to data/raw, as one archive"),
    ):
        sub = command(run, about)
        sub.add_argument(
            "paths", nargs="+", type=Path, metavar="PATH", help="a folder of class folders, an archive, a file"
        )
        sub.add_argument("--label", metavar="L", help="the class of all of them; overrides folders and labels.csv")
        sub.add_argument(
            "--strip", type=int, metavar="N", help="the number of folder levels above the class folders; 0 for none"
        )
        if run is _check:
            sub.add_argument("--json", action="store_true", help="print the full result as JSON")
            sub.add_argument("--csv", type=Path, metavar="FILE", help="also write a line for each place to FILE")
            sub.add_argument("--html", type=page, metavar="FILE", help="also write a page of pictures to FILE")
    sub = command(_remove, "remove images from data/raw: every copy, from archives too")
    sub.add_argument(
        "patterns",
        nargs="+",
        metavar="ID|SOURCE|GLOB",
        help="images, as named in index.parquet and refused.csv",
    )
    sub.add_argument("--dry-run", action="store_true", help="only show what would be removed")
    sub.add_argument(
        "--erase",
        action="store_true",
        help="also erase them from all shards; accepts ids of images that were removed before, too",
    )
    sub = command(_pack, "pack the loose images of data/raw into archives")
    sub.add_argument("--min", type=int, default=1, metavar="N", help="leave fewer than N loose images as they are")


def _check(args: argparse.Namespace) -> int:
    from pipeline.commands.data.contact_sheet import contact_sheet
    from pipeline.commands.data.readiness import make_index_ready
    from pipeline.commands.data.summary import as_json, class_rows, summary_lines, write_csv
    from pipeline.commands.data.survey import survey
    from pipeline.commands.sheets.saving import save
    from pipeline.commands.sheets.sheet import render
    from pipeline.params import read_params

    params = read_params()
    make_index_ready()
    found = survey(args.paths, args.label, params, strip=args.strip)
    if args.csv:
        write_csv(found, args.csv)
    if args.html:
        save(args.html, render(contact_sheet(found, args.paths, params)))
    if args.json:
        print(json.dumps(as_json(found), ensure_ascii=False, indent=2))
    else:
        print_table(class_rows(found))
        for line in summary_lines(found):
            print(line)
        if args.html:
            print(f"pictures: {shown(str(args.html))}")
    return 1 if found.refused else 0


def _add(args: argparse.Namespace) -> int:
    if put(args.paths, label=args.label, strip=args.strip):
        _print_next()
    return 0


def put(images: Sequence[Path], *, label: str | None, strip: int | None) -> bool:
    """Put `images` into data/raw, print the outcome, and return whether any image was new.

    Raises:
        TreeringError: no image can be used.
    """
    from pipeline.commands.data.addition import add, check_outside, check_split
    from pipeline.commands.data.readiness import make_ready
    from pipeline.commands.data.summary import refused_lines
    from pipeline.commands.data.survey import survey
    from pipeline.commands.data.workbench import alone
    from pipeline.params import read_params

    params = read_params()
    check_split(params)
    make_ready()
    check_outside(images)
    with alone() as folder:
        found = survey(images, label, params, strip=strip)
        for line in refused_lines(found.refused):
            print(line)
        beside = f"{len(found.known):,} known already, {found.copies.total():,} copies, {len(found.refused):,} refused"
        if not found.new and found.refused and not found.known:
            raise ImagesError(shown(str(images[0])), "no usable image in it", "see the reasons above")
        if not found.new:
            print(f"nothing new: {beside}")
            return False
        archive = add(found.new, folder)
    print(f"added {counted(len(found.new), 'image')} as {archive}; {beside}")
    if kept := sum(bool(one.attributes) for one in found.new.values()):
        print(f"with a labels.csv in it, for the further columns of {counted(kept, 'image')}")
    return True


def _remove(args: argparse.Namespace) -> int:
    from pipeline.commands.data.removal import NOTE, gone_already, match, remove, with_copies
    from pipeline.commands.data.workbench import note_names, noted_names
    from pipeline.commands.holdings import Holdings
    from pipeline.ingestion.erasure import note_erased
    from pipeline.versioning.removals import note_removals

    with _workbench() as folder:
        held, begun = Holdings.read(), noted_names(NOTE)
        absent = gone_already(args.patterns, held) - begun.keys() if args.erase else set()
        matched = match([one for one in args.patterns if one not in absent], held, begun)
        named, copies = with_copies(matched.values(), held)
        gone = [*named, *copies]
        ids = {one.id for one in gone if one.id} | absent
        if not args.dry_run:
            note_names(NOTE, {name: {one.id for one in held.at(rows) if one.id} for name, rows in matched.items()})
            if args.erase:
                note_erased(ids)
            note_removals(ids)
            remove(named, copies, held, folder)
            NOTE.unlink()
    images = len({one.id or one.name for one in gone})
    done = "would remove" if args.dry_run else "removed"
    if gone:
        print(f"{done} {counted(images, 'image')} from {counted(len(gone), 'place')}:")
        print_lines([one.name for one in gone])
    elif begun:
        print("nothing is left to remove from the interrupted run")
    if args.erase:
        to_erase = f"{counted(len(ids), 'image')} to erase: commit {paths.ERASED}"
        print(f"{to_erase}; `pipeline trace` lists the files that hold the bytes")
    if not args.dry_run:
        _print_next()
    return 0


def _pack(args: argparse.Namespace) -> int:
    from pipeline.commands.data.packing import loose_images, pack

    with _workbench() as folder:
        images, named = loose_images()
        if len(images) < max(1, args.min):
            print(f"{counted(len(images), 'loose image')}, left as they are")
            return 0
        archives, before = pack(images, folder)
    print(
        f"packed {counted(len(images), 'image')} into {counted(len(archives), 'archive')}"
        + (f", {before:,} before" if before else "")
    )
    print_lines([str(path) for path in archives])
    if named:
        said = "labels.csv or ingest.strip determines their class or columns by path"
        print(f"{counted(len(named), 'image')} left loose, since {said}, such as {shown(named[0])}")
    _print_next()
    return 0


@contextmanager
def _workbench() -> Iterator[Path]:
    """Yield a working folder for changes to data/raw, which must exist."""
    from pipeline.commands.data.readiness import make_ready
    from pipeline.commands.data.workbench import alone

    make_ready()
    if not paths.RAW.is_dir():
        raise ImagesError(paths.RAW, "no such folder", "run this in the project's folder")
    with alone() as folder:
        yield folder


def _print_next() -> None:
    print(f"next: {'dvc repro' if paths.RAW_DVC.exists() else f'dvc add {paths.RAW} && dvc repro'}")
