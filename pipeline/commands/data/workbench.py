"""Change data/raw atomically: by one process at a time, in a working folder, and moved into place in one step.

A file in data/raw may be a link into DVC's cache, so files are replaced or unlinked, but never written to.
"""

import json
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.files import md5_of_bytes, put, write_text
from pipeline.locking import locked

FOLDER = paths.PROGRESS / "raw"
LOCK = paths.PROGRESS / "raw.lock"
# Name prefixes of the archives that `pipeline add` and `pipeline pack` make.
ADDED, PACKED = "added", "packed"
# The earliest date a zip can store. With real dates, the same images would make archives with different bytes.
DATE = (1980, 1, 1, 0, 0, 0)


@contextmanager
def alone(folder: Path = FOLDER) -> Iterator[Path]:
    """Yield a new working `folder` to one process at a time; the folder is deleted at the end.

    Raises:
        ImagesError: another process holds the lock.
    """
    paths.PROGRESS.mkdir(parents=True, exist_ok=True)
    what = "another `pipeline` command is changing it"
    with locked(LOCK, taken=lambda: ImagesError(paths.RAW, what, "wait until that has ended")):
        for left in (FOLDER, folder):  # Left by a killed process; they hold images.
            shutil.rmtree(left, ignore_errors=True)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def put_zip(prefix: str, files: Iterable[tuple[str, bytes]], folder: Path) -> Path:
    """Put `files` (name and bytes) into data/raw as an uncompressed zip named by its content; build it in `folder`."""
    aside, listing = folder / f"{prefix}.zip", []
    with zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files:
            info = zipfile.ZipInfo(name, DATE)
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, data)
            listing.append(f"{name}\0{md5_of_bytes(data)}\n")
    target = paths.RAW / f"{prefix}-{md5_of_bytes(''.join(listing).encode())[:12]}.zip"
    put(aside, target)
    return target


def note_names(note: Path, names: Mapping[str, Iterable[str]]) -> None:
    """Store the ids that `names` stand for in the file `note`, since a rerun cannot resolve names of removed images."""
    write_text(note, json.dumps({name: sorted(ids) for name, ids in {**noted_names(note), **names}.items()}))


def noted_names(note: Path) -> dict[str, list[str]]:
    """Return the ids by name that an interrupted command has stored in the file `note`."""
    try:
        noted = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}
