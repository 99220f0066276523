"""A project of one's own: `pipeline init`."""

import argparse
import os
import shlex
from pathlib import Path

from pipeline import paths
from pipeline.commands.parsing import Register
from pipeline.text import shown


def register(command: Register) -> None:
    """Add this command."""
    sub = command(_init, "start a project of your own, without this repository's samples, tests and history")
    sub.add_argument("folder", nargs="?", type=Path, default=Path(), metavar="DIR", help="default: this folder")
    sub.add_argument("--name", help="what it is called; default: as the folder")
    sub.add_argument(
        "--images", nargs="+", type=Path, default=[], metavar="PATH", help="put these into data/raw, as `add` does"
    )


def _init(args: argparse.Namespace) -> int:
    from pipeline.commands.init.making import make
    from pipeline.commands.init.release import Release

    folder = args.folder.resolve()
    name = args.name or folder.name or "project"
    kept = make(folder, name, args.images)
    release = Release.running()
    where = f"release {release.commit[:7]} of {release.source}" if release else "the code of this folder"
    print(shown(f"{name}: a new project in {folder}, of {where}"))
    for path in kept:
        print(shown(f"kept as it was: {path}"))
    go = "" if folder == Path.cwd() else f"cd {shlex.quote(os.path.relpath(folder))} && "
    put = (
        "" if any((folder / paths.RAW).iterdir()) else f"put a folder of images for each class into {paths.RAW}, then "
    )
    print(shown(f"next: {put}{go}dvc repro"))
    return 0
