"""`pipeline init`: creates a new project."""

import argparse
import os
import shlex
from contextlib import chdir
from pathlib import Path

from pipeline import paths
from pipeline.commands.parsing import Register
from pipeline.errors import ImagesError
from pipeline.text import shown


def register(command: Register) -> None:
    """Add this command."""
    sub = command(_init, "start a project of your own, without this repository's samples, tests and history")
    sub.add_argument("folder", nargs="?", type=Path, default=Path(), metavar="DIR", help="default: the current folder")
    sub.add_argument("--name", help="the project's name; default: the folder's name")
    sub.add_argument(
        "--images", nargs="+", type=Path, default=[], metavar="PATH", help="put these into data/raw, as `add` does"
    )


def _init(args: argparse.Namespace) -> int:
    from pipeline.commands.data.command import put
    from pipeline.commands.init.making import make, track_images
    from pipeline.commands.init.release import Release

    if missing := next((path for path in args.images if not path.exists()), None):
        raise ImagesError(missing, "no such file or folder", "check the path")
    folder = args.folder.resolve()
    images = [Path(os.path.relpath(path, folder)) for path in args.images]
    name = args.name or folder.name or "project"
    kept = make(folder, name)
    release = Release.running()
    where = f"release {release.commit[:7]} of {release.source}" if release else "the code of this folder"
    print(shown(f"{name}: a new project in {folder}, of {where}"))
    for path in kept:
        print(shown(f"kept as it was: {path}"))
    try:
        with chdir(folder):
            if images:
                put(images, label=None, strip=None)
    finally:  # The project is complete even if adding its first images fails.
        with chdir(folder):
            track_images()
        _print_next(folder)
    return 0


def _print_next(folder: Path) -> None:
    go = "" if folder == Path.cwd() else f"cd {shlex.quote(os.path.relpath(folder))} && "
    put = (
        "" if any((folder / paths.RAW).iterdir()) else f"put a folder of images for each class into {paths.RAW}, then "
    )
    print(shown(f"next: {put}{go}dvc repro"))
