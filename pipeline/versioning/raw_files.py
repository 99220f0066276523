"""data/raw as the stage `listing` has just listed it, so that no other stage has to hash it again."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.files import md5_of_file
from pipeline.versioning import objects, repository
from pipeline.versioning.lock import read_raw_hash

if TYPE_CHECKING:
    from dvc_data.hashfile.state import StateBase
    from dvc_objects.fs.base import FileSystem


class RawFile(NamedTuple):
    """A file below data/raw."""

    path: str
    """Relative to data/raw, with forward slashes."""
    md5: str
    """MD5 of its content, in hexadecimal."""


def listed_hash() -> str:
    """Return the hash of all files that belong to data/raw, as the stage `listing` has written it.

    Raises:
        RecordError: `listing` has not run, or DVC does not track data/raw.
    """
    read_raw_hash()
    try:
        return paths.RAW_HASH.read_text(encoding="ascii").strip()
    except OSError:
        raise RecordError(paths.RAW_HASH, "no such file", "run `dvc repro listing`") from None


def raw_files() -> list[RawFile]:
    """Return all files that belong to data/raw, present locally or not, by path, as `listing` has just listed them.

    Raises:
        RecordError: nothing is listed yet, or the listing is not available.
    """
    oid = listed_hash()
    entries = objects.listing(repository.repository(), oid)
    if entries is None:
        what = f"the listing {oid} that it names is not in DVC's cache"
        raise RecordError(paths.RAW_HASH, what, "run `dvc repro listing`")
    return [RawFile(path, md5) for path, md5 in sorted(entries.items())]


def linked_folders() -> list[str]:
    """Return the folders below data/raw, relative to it, that are symbolic links: DVC skips them silently."""
    links: list[Path] = []
    for folder, names, _ in os.walk(paths.RAW):
        links.extend(Path(folder, name) for name in names if Path(folder, name).is_symlink())
    return sorted(link.relative_to(paths.RAW).as_posix() for link in links)


def changed_files(files: Iterable[RawFile]) -> list[RawFile]:
    """Return the `files` that were written or removed after DVC had hashed them."""
    from dvc_objects.fs.local import localfs

    state = repository.repository().state
    return [file for file in files if _md5(state, localfs, paths.RAW / file.path) != file.md5]


def _md5(state: "StateBase", fs: "FileSystem", path: Path) -> str | None:
    """Return the MD5 of `path`, from DVC's state database if the file's time, size and inode match; None if missing."""
    if not path.exists():
        return None
    _, remembered = state.get(str(path.resolve()), fs)
    if remembered is not None:
        return str(remembered.value)
    return md5_of_file(path)
