"""data/raw as a whole: the present files, the absent files that belong to it, and its hash; nothing is changed.

Where no file is absent, this takes as long as DVC's own check of the folder, and no other record is read.
"""

from collections.abc import Mapping
from typing import NamedTuple

from pipeline import paths
from pipeline.errors import MissingDataError, RecordError
from pipeline.versioning import fetching, git_guard, hashing, objects, repository
from pipeline.versioning.lock import read_raw_hash
from pipeline.versioning.raw.absence import never_here, read_absent
from pipeline.versioning.raw.rule import Belonging, belongs, in_the_way
from pipeline.versioning.raw_files import RawFile


class RawContent(NamedTuple):
    """The content of data/raw, whether or not it is present locally."""

    oid: str
    """DVC's hash of data/raw."""
    here: dict[str, str]
    """The MD5 of each file that is present locally, by its path relative to data/raw."""
    belonging: Belonging

    @property
    def files(self) -> list[RawFile]:
        """All files that belong to data/raw, sorted by path."""
        return [RawFile(path, md5) for path, md5 in sorted(self.belonging.files.items())]

    @property
    def is_whole(self) -> bool:
        """Whether all of it is present locally."""
        return not self.belonging.absent


def look() -> RawContent:
    """Return the present content of data/raw, from data/raw.dvc, the local files and the note of absent files.

    Raises:
        RecordError: DVC does not track data/raw; the folder is gone; or it is unknown which files were there.
        MissingDataError: no file of it is present, and the listing that data/raw.dvc names is not available.
    """
    recorded = read_raw_hash()
    oid, here = files_here()
    if oid == recorded:
        return _whole(oid, here)
    if read_absent() == set():
        return _whole(oid, here, before=objects.listing(repository.repository(), recorded) or {})
    try:
        return as_listed(listed_in(recorded), here)
    except MissingDataError:
        if here:
            raise git_guard.unlisted() from None
        raise


def here_alone() -> RawContent:
    """Return the content of data/raw, where all that belongs to it is present locally."""
    return _whole(*files_here())


def as_listed(listed: dict[str, str], here: dict[str, str]) -> RawContent:
    """Return the content of data/raw, where data/raw.dvc lists the files `listed` and those `here` are present.

    Both are MD5s by path.

    Raises:
        RecordError: a present file has the path of an absent folder, or the other way round.
    """
    found = belongs(listed, here, never_here(listed, here))
    if path := in_the_way(found.absent, here):
        what = f"a file where {paths.RAW_DVC} lists a folder, or the other way round"
        raise RecordError(paths.RAW / path, what, "give the one that is here another name")
    return RawContent(hashing.hash_of_listing(found.files), here, found)


def files_here() -> tuple[str, dict[str, str]]:
    """Return the hash of data/raw as a folder, and the MD5 of each present file, by its path relative to data/raw.

    Raises:
        RecordError: the folder is gone, together with the files that were in it.
    """
    if paths.RAW.is_dir():
        return hashing.workspace_listing(paths.RAW)
    if read_absent() == set():
        raise RecordError(paths.RAW, "not here", f"run `dvc pull {paths.RAW_DVC}`")
    return hashing.hash_of_listing({}), {}


def _whole(oid: str, here: dict[str, str], before: Mapping[str, str] | None = None) -> RawContent:
    return RawContent(oid, here, Belonging(here, set(), here if before is None else before))


def listed_in(oid: str) -> dict[str, str]:
    """Return the MD5s by path of data/raw in the version with the hash `oid`; pull the listing if the cache lacks it.

    Raises:
        MissingDataError: the listing is not available.
    """
    return fetching.fetch_listing(oid, what=paths.RAW.as_posix())
