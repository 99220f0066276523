"""Writing outputs so that whoever looks, even after a kill, sees the old file or the new one, whole."""

import os
import shutil
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write the UTF-8 file `path` in one step; left as it is where it says the same already."""
    content = text.encode()
    if path.exists() and path.read_bytes() == content:
        return
    aside = path.with_name(path.name + ".new")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def replace_directory(path: Path, new: Path) -> None:
    """Put the directory `new` in the place of `path`. A kill in between leaves `path` missing, never mixed."""
    old = path.with_name(path.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.replace(old)
    new.replace(path)
    shutil.rmtree(old, ignore_errors=True)
