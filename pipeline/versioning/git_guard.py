"""Checks whether data/raw is in sync with Git: a merge, pull or checkout changes data/raw.dvc, but no image.

After that, `dvc repro` would record the content of data/raw as the newest version, and images that others added would
count as removed. So ingest notes which version of data/raw.dvc the images belong to, and the stage `listing` fails if
Git has moved to another version since.
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
UNKNOWN = "if no file is missing, run `pipeline sync --keep`; else `pipeline sync --restore`, which pulls missing files"
NEVER_HERE = "run `pipeline sync --restore` to bring them in, or `pipeline sync --keep` to leave data/raw as it is"


class Note(NamedTuple):
    """The state of data/raw when it was last in sync with Git."""

    blob: str
    """The blob hash of data/raw.dvc in Git's index at that time; empty where there was none."""
    oid: str
    """DVC's hash of data/raw."""


def indexed() -> str:
    """Return the blob hash of data/raw.dvc in Git's index; empty where the index has none, or there is no Git.

    The index counts, not the last commit, since a merge is in the index before it is committed.

    Raises:
        RecordError: data/raw.dvc is in conflict.
    """
    try:
        entries = git_text("ls-files", "--stage", "--", str(paths.RAW_DVC)).splitlines()
    except RecordError:
        return ""
    if len(entries) > 1 or any(entry.split()[2] != "0" for entry in entries):
        raise RecordError(paths.RAW_DVC, "is in conflict", "run `pipeline resolve`")
    return entries[0].split()[1] if entries else ""


def committed() -> str | None:
    """Return data/raw.dvc as last committed; None where it is not. The index may contain a version that DVC staged."""
    try:
        return git_text("show", f"HEAD:./{paths.RAW_DVC}") + "\n"
    except RecordError:
        return None


def committed_hash() -> str | None:
    """Return the hash of data/raw that the last commit records; None where it records none."""
    version = committed()
    return None if version is None else read_raw_hash(version)


def content_of(blob: str) -> str:
    """Return the content of data/raw.dvc in the version `blob`."""
    return git_text("cat-file", "blob", blob) + "\n"


def read_note() -> Note | None:
    """Return the last note; None where there is none, or it is damaged."""
    try:
        blob, oid = NOTE.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    return Note(blob, oid)


def note(oid: str) -> None:
    """Note that data/raw, whose hash is `oid`, is in sync with Git's index. Git's hooks read the note, too."""
    write_text(NOTE, f"{indexed()}\n{oid}\n")


def check_followed(oid: str, files: Container[str] | None = None) -> None:
    """Check that data/raw, whose hash is `oid`, is derived from the version that Git's index lists.

    `files` are the files that belong to data/raw, relative to it; if None, they are read from DVC's cache.

    Raises:
        RecordError: Git has moved to another version since, or files of that version were never in this clone.
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
        raise RecordError(
            paths.RAW, f"Git has moved to a version of {paths.RAW_DVC} that these images do not match", HINT
        )
    _check_present(wanted, oid, files)


def unlisted() -> RecordError:
    """Return the error for the case that no record states which files were in data/raw."""
    what = f"the listing that {paths.RAW_DVC} names in Git is not in DVC's cache, so it is not known what is missing"
    return RecordError(paths.RAW, what, UNKNOWN)


def _check_present(wanted: str, oid: str, files: Container[str] | None) -> None:
    """Check that each file of the version `wanted` is among `files`, which `oid` lists, or was in this clone before."""
    listed = objects.listing(repository.repository(), oid) or {} if files is None else files
    missing = objects.missing_files(wanted, besides=listed)
    if missing is None:
        raise unlisted()
    if missing:
        many = counted(len(missing), "file")
        raise RecordError(paths.RAW, f"{many} that {paths.RAW_DVC} lists in Git have never been here", NEVER_HERE)
