"""data/raw as the stage `listing` has just listed it: what nobody needs to hash again."""

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
    """Of its bytes, in hexadecimal."""


def listed_hash() -> str:
    """The hash of all that belongs to data/raw, which the stage `listing` has written down.

    Raises:
        RecordError: it has not, or DVC does not track data/raw.
    """
    read_raw_hash()
    try:
        return paths.RAW_HASH.read_text(encoding="ascii").strip()
    except OSError:
        raise RecordError(paths.RAW_HASH, "no such file", "run `dvc repro listing`") from None


def raw_files() -> list[RawFile]:
    """All files that belong to data/raw, be they here or not, sorted by path, as `listing` has just listed them.

    Raises:
        RecordError: nothing is listed yet, or the listing is not to be had.
    """
    oid = listed_hash()
    entries = objects.listing(repository.repository(), oid)
    if entries is None:
        what = f"the listing {oid} that it names is not in DVC's cache"
        raise RecordError(paths.RAW_HASH, what, "run `dvc repro listing`")
    return [RawFile(path, md5) for path, md5 in sorted(entries.items())]


def linked_folders() -> list[str]:
    """The folders below data/raw that are links, relative to it: DVC passes them over without a word."""
    links: list[Path] = []
    for folder, names, _ in os.walk(paths.RAW):
        links.extend(Path(folder, name) for name in names if Path(folder, name).is_symlink())
    return sorted(link.relative_to(paths.RAW).as_posix() for link in links)


def changed_files(files: Iterable[RawFile]) -> list[RawFile]:
    """Those of `files` that were written to, or went away, after DVC had hashed them."""
    from dvc_objects.fs.local import localfs

    state = repository.repository().state
    return [file for file in files if _md5(state, localfs, paths.RAW / file.path) != file.md5]


def _md5(state: "StateBase", fs: "FileSystem", path: Path) -> str | None:
    """By DVC's memory of the file's time, size and inode where it has one."""
    if not path.exists():
        return None
    _, remembered = state.get(str(path.resolve()), fs)
    if remembered is not None:
        return str(remembered.value)
    return md5_of_file(path)
