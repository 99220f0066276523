"""MD5s of files, and atomic writing of files.

Readers of an output see the complete old version or the complete new one, even after a kill. Outputs are written to
data/.progress, on the same disk, and then moved, so an output never contains incomplete files.
"""

import hashlib
import os
import shutil
from pathlib import Path

from pipeline import paths


def md5_of_bytes(data: bytes) -> str:
    """Return the MD5 of `data` in hexadecimal: DVC's hash of content, and the id of an image."""
    return hashlib.md5(data).hexdigest()


def md5_of_file(path: Path) -> str:
    """Return the MD5 of the file `path` in hexadecimal, reading it in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def put(file: Path, target: Path) -> None:
    """Move `file` to `target`, which may exist, and sync it to disk."""
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
    """Replace the directory `path` by `new`. A kill in between leaves `path` missing, but never a mix of both."""
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
    """Write `text` to the UTF-8 file `path` atomically. A file with the same content is not touched."""
    content = text.encode()
    if path.exists() and path.read_bytes() == content:
        return
    aside = paths.PROGRESS / path.name
    aside.parent.mkdir(parents=True, exist_ok=True)
    aside.write_bytes(content)
    put(aside, path)


def put_copy(file: Path, target: Path) -> None:
    """Copy `file` to `target` atomically."""
    aside = paths.PROGRESS / target.name
    aside.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, aside)
    put(aside, target)
