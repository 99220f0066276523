"""data/raw as a whole: what is here, what belongs to it besides, and its hash; nothing is changed.

Where all of it is here, that costs what DVC's own look at the folder costs, and nothing is asked of any record.
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
    """What data/raw holds, be it here or not."""

    oid: str
    """DVC's hash of it."""
    here: dict[str, str]
    """The MD5 of each file that is here, by its path relative to data/raw."""
    belonging: Belonging

    @property
    def files(self) -> list[RawFile]:
        """All files, by path."""
        return [RawFile(path, md5) for path, md5 in sorted(self.belonging.files.items())]

    @property
    def is_whole(self) -> bool:
        """Whether all of it is here."""
        return not self.belonging.absent


def look() -> RawContent:
    """What data/raw holds now, by what data/raw.dvc lists, what is here, and what was noted as absent.

    Raises:
        RecordError: DVC does not track data/raw; the folder is gone; or it is not known what was there.
        MissingDataError: nothing of it is here, and what data/raw.dvc lists is not to be had.
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
    """The same, where all that belongs to data/raw is here."""
    return _whole(*files_here())


def as_listed(listed: dict[str, str], here: dict[str, str]) -> RawContent:
    """The same, where data/raw.dvc lists the files `listed`, MD5s by path, and `here` are those that are here.

    Raises:
        RecordError: a file has the name of a folder that is not here, or the other way round.
    """
    found = belongs(listed, here, never_here(listed, here))
    if path := in_the_way(found.absent, here):
        what = f"a file where {paths.RAW_DVC} lists a folder, or the other way round"
        raise RecordError(paths.RAW / path, what, "give the one that is here another name")
    return RawContent(hashing.hash_of_listing(found.files), here, found)


def files_here() -> tuple[str, dict[str, str]]:
    """The hash of data/raw as a folder, and the MD5 of each file that is here, by its path relative to it.

    Raises:
        RecordError: the folder is gone, with files that were in it.
    """
    if paths.RAW.is_dir():
        return hashing.workspace_listing(paths.RAW)
    if read_absent() == set():
        raise RecordError(paths.RAW, "not here", f"run `dvc pull {paths.RAW_DVC}`")
    return hashing.hash_of_listing({}), {}


def _whole(oid: str, here: dict[str, str], before: Mapping[str, str] | None = None) -> RawContent:
    return RawContent(oid, here, Belonging(here, set(), here if before is None else before))


def listed_in(oid: str) -> dict[str, str]:
    """The MD5 of each file of data/raw, where its hash is `oid`, by path; pulled where DVC's cache lacks the listing.

    Raises:
        MissingDataError: it is not to be had.
    """
    return fetching.fetch_listing(oid, what=paths.RAW.as_posix())
