"""`pipeline next`: chooses the images to label next."""

import argparse
import shlex
from pathlib import Path

from pipeline import paths
from pipeline.commands.parsing import Register, count
from pipeline.commands.sheets.saving import page
from pipeline.text import counted, shown


def register(command: Register) -> None:
    """Add this command."""
    sub = command(_next, "choose the images most worth labelling, with proposed labels")
    sub.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a folder, an archive, a file")
    sub.add_argument("--count", type=count, default=100, metavar="N", help="how many images; default: 100")
    sub.add_argument(
        "--into", type=Path, metavar="FOLDER", help=f"the new folder for them; default: {paths.DATA}/next-…"
    )
    sub.add_argument("--html", type=page, metavar="FILE", help="write a page of pictures to FILE as well")
    sub.add_argument("--csv", type=Path, metavar="FILE", help="write ranks and probabilities to FILE as well")
    sub.add_argument("--json", action="store_true", help="print the chosen images as JSON")
    sub.add_argument("--model", type=Path, default=paths.MODEL, metavar="DIR", help=f"default: {paths.MODEL}")


def _next(args: argparse.Namespace) -> int:
    from pipeline.commands.data.known_images import KnownImages
    from pipeline.commands.next.batch import check_free, folder_for, write_batch
    from pipeline.commands.next.observing import observe
    from pipeline.commands.next.proposing import as_csv, as_json, as_sheet, propose
    from pipeline.commands.sheets.saving import save
    from pipeline.commands.sheets.sheet import render
    from pipeline.evaluation.inference import Trained, require
    from pipeline.params import read_params

    params = read_params()
    require(args.model)
    if args.into:
        check_free(args.into)
    trained = Trained.read(args.model, params.compute)
    found = observe(args.paths, trained, params, KnownImages(params.ingest.encoding).ids)
    left_out = f"{found.known:,} known already, {counted(found.copies, 'copy', 'copies')}, {found.unusable:,} unusable"
    if not found.ids:
        print(as_json([], found, None) if args.json else f"nothing to label: {left_out}")
        return 0
    proposals = propose(found, trained.spec.classes, args.count, params.manifest.seed)
    folder = args.into or folder_for([one.id for one in proposals])
    check_free(folder)
    if args.csv:
        save(args.csv, as_csv(proposals))
    if args.html:
        save(args.html, render(as_sheet(proposals, found, folder, params)))
    write_batch(proposals, folder)  # Last: it is not overwritten if the command has to be repeated.
    if args.json:
        print(as_json(proposals, found, folder))
        return 0
    where = shown(str(folder))
    print(f"chosen {len(proposals):,} of {counted(len(found.ids), 'unlabelled image')} into {where}; {left_out}")
    if args.html:
        print(f"pictures: {shown(str(args.html))}")
    print(f"next: correct {where}/labels.csv, then pipeline add {shlex.quote(where)} && dvc repro")
    return 0
