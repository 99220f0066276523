"""Whether data/raw has followed Git: a merge, pull or checkout changes data/raw.dvc, and no image.

`dvc repro` would take what data/raw holds then for the new truth, and images that others added for removed. So ingest
notes which version of data/raw.dvc the images are of, and `listing` refuses to work where Git has gone on since.
"""

from collections.abc import Container
from typing import NamedTuple

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.files import write_text
from pipeline.git import git_text
from pipeline.text import counted
from pipeline.versioning import objects, repository
from pipeline.versioning.lock import read_raw_hash

NOTE = paths.PROGRESS / "followed" / "raw"
HINT = "run `pipeline sync` to bring in what it lists, or `pipeline sync --keep` to leave data/raw as it is"
UNKNOWN = "if all is here, run `pipeline sync --keep`; else `pipeline sync --restore`, which pulls what is not"
NEVER_HERE = "run `pipeline sync --restore` to bring them in, or `pipeline sync --keep` to leave data/raw as it is"


class Note(NamedTuple):
    """What data/raw was, when it last was in sync with Git."""

    blob: str
    """Git's name of the version of data/raw.dvc in its index then, empty where there was none."""
    oid: str
    """DVC's hash of data/raw."""


def indexed() -> str:
    """Git's name of the version of data/raw.dvc in its index, empty where that has none, or there is no Git.

    In the index, not in the commit, since there a merge is before it is committed.

    Raises:
        RecordError: it is in conflict.
    """
    try:
        entries = git_text("ls-files", "--stage", "--", str(paths.RAW_DVC)).splitlines()
    except RecordError:
        return ""
    if len(entries) > 1 or any(entry.split()[2] != "0" for entry in entries):
        raise RecordError(paths.RAW_DVC, "is in conflict", "run `pipeline resolve`")
    return entries[0].split()[1] if entries else ""


def committed() -> str | None:
    """The version of data/raw.dvc in the last commit; None where that has none. The index may hold what DVC staged."""
    try:
        return git_text("show", f"HEAD:./{paths.RAW_DVC}") + "\n"
    except RecordError:
        return None


def committed_hash() -> str | None:
    """The hash of data/raw that the last commit records."""
    version = committed()
    return None if version is None else read_raw_hash(version)


def content_of(blob: str) -> str:
    """The version `blob` of data/raw.dvc."""
    return git_text("cat-file", "blob", blob) + "\n"


def read_note() -> Note | None:
    """What was noted last; None where nothing was, or what was is damaged."""
    try:
        blob, oid = NOTE.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    return Note(blob, oid)


def note(oid: str) -> None:
    """Note that data/raw, whose hash is `oid`, is in sync with Git's index. Git's hooks read the note, too."""
    write_text(NOTE, f"{indexed()}\n{oid}\n")


def check_followed(oid: str, files: Container[str] | None = None) -> None:
    """Look whether data/raw, whose hash is `oid`, comes from what Git's index lists.

    `files` are those that belong to it, relative to it; asked of DVC's cache where they are None.

    Raises:
        RecordError: Git has gone on to another version of it since, or the images of that were never here.
    """
    blob, noted = indexed(), read_note()
    if noted is None and (last := committed_hash()) not in (None, oid):
        _check_present(str(last), oid, files)
    if not blob or (noted is not None and noted.blob == blob):
        return
    wanted = read_raw_hash(content_of(blob))
    if wanted == oid or (noted is not None and noted.oid == wanted):
        return
    if noted is not None:
        raise RecordError(paths.RAW, f"Git has gone on to another {paths.RAW_DVC} than these images are of", HINT)
    _check_present(wanted, oid, files)


def unlisted() -> RecordError:
    """That nothing says which files were in data/raw."""
    what = f"the listing that {paths.RAW_DVC} names in Git is not in DVC's cache, so it is not known what is missing"
    return RecordError(paths.RAW, what, UNKNOWN)


def _check_present(wanted: str, oid: str, files: Container[str] | None) -> None:
    """Look whether what Git records as `wanted`, and the present `oid` with its `files` lacks, has ever been here."""
    listed = objects.listing(repository.repository(), oid) or {} if files is None else files
    missing = objects.missing_files(wanted, besides=listed)
    if missing is None:
        raise unlisted()
    if missing:
        many = counted(len(missing), "file")
        raise RecordError(paths.RAW, f"{many} that {paths.RAW_DVC} lists in Git have never been here", NEVER_HERE)
