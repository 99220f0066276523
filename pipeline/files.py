"""Files: their MD5, and how they are put in place.

Whoever looks at an output, even after a kill, sees the old one or the new one, whole. Outputs are made in
data/.progress, on the same disk, and moved: what is half made is never inside an output.
"""

import hashlib
import os
import shutil
from pathlib import Path

from pipeline import paths


def md5_of_bytes(data: bytes) -> str:
    """In hexadecimal: the hash by which DVC names content, and an image's id."""
    return hashlib.md5(data).hexdigest()


def md5_of_file(path: Path) -> str:
    """That of the bytes in `path`, which are read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def put(file: Path, target: Path) -> None:
    """Move `file` to `target`, which may exist, so that it is there for good once this returns."""
    with file.open("rb") as whole:
        os.fsync(whole.fileno())
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(file, target)  # noqa: PTH105 (a test makes it fail)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def put_directory(new: Path, path: Path) -> None:
    """Put the directory `new` in the place of `path`. A kill in between leaves `path` missing, never mixed."""
    old = new.with_name(f"{new.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.replace(old)
    try:
        new.replace(path)
    except BaseException:
        if old.exists() and not path.exists():
            old.replace(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write the UTF-8 file `path` in one step; left as it is where it says the same already."""
    content = text.encode()
    if path.exists() and path.read_bytes() == content:
        return
    aside = paths.PROGRESS / path.name
    aside.parent.mkdir(parents=True, exist_ok=True)
    aside.write_bytes(content)
    put(aside, path)


def put_copy(file: Path, target: Path) -> None:
    """Copy `file` to `target`, likewise in one step."""
    aside = paths.PROGRESS / target.name
    aside.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, aside)
    put(aside, target)
