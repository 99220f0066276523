"""Files by the hash that dvc.lock records: from the workspace, else from DVC's cache, else from its remote.

DVC's own commands restore only the hashes and paths that dvc.lock names now; this module brings any hash to any path.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline.errors import MissingDataError
from pipeline.files import md5_of_bytes, md5_of_file
from pipeline.versioning import remote
from pipeline.versioning.hashing import directory_hash
from pipeline.versioning.objects import cached_files, cached_path, lacking, listing
from pipeline.versioning.repository import repository

if TYPE_CHECKING:
    from dvc.repo import Repo

T = TypeVar("T")

logger = logging.getLogger(__name__)

PUSH_FIRST = "run `dvc push` where it was committed, then run this again"


def fetch(oid: str, *, what: str, hint: str) -> dict[str, Path]:
    """Make sure that the directory `oid` is in DVC's cache; pull missing files from the remote.

    Returns:
        the cached file of each path in the directory. The last two parts of the cached file's path, joined, are its
            MD5.

    Raises:
        MissingDataError: neither cache nor remote has all of it, and the message ends with `hint`; or the remote cannot
            be read.
    """
    repo = repository()
    return _had(oid, lambda: cached_files(repo, oid), lambda: _pull(repo, oid), what, hint)


def fetch_listing(oid: str, *, what: str, hint: str = PUSH_FIRST) -> dict[str, str]:
    """Return the MD5 of each file in the directory `oid`, by relative path; pull the listing if the cache lacks it.

    Raises:
        MissingDataError: neither cache nor remote has it, or the remote cannot be read.
    """
    repo = repository()
    return _had(oid, lambda: listing(repo, oid), lambda: _pull_listing(repo, oid), what, hint)


def fetch_file(md5: str, *, what: str, hint: str) -> Path:
    """Make sure that the single file with this MD5 is in DVC's cache, undamaged; return its path there.

    Raises:
        MissingDataError: neither cache nor remote has it.
    """
    repo = repository()
    path = cached_path(repo, md5)

    def pull() -> str:
        path.unlink(missing_ok=True)  # A damaged copy, which DVC would not check.
        return remote.pull(repo, [md5])

    return _had(md5, lambda: path if _is_sound(path) else None, pull, what, hint)


def fetch_member(oid: str, name: str, *, what: str, hint: str) -> Path:
    """Make sure that the file `name` of the directory `oid` is in DVC's cache, without the others; return its path.

    Raises:
        MissingDataError: neither cache nor remote has it, or the directory holds no such file.
    """
    entries = fetch_listing(oid, what=what, hint=hint)
    if name not in entries:
        raise MissingDataError(what, f"there is no {name} in {oid}", hint)
    return fetch_file(entries[name], what=what, hint=hint)


def copy_directory(oid: str, destination: Path, *, nearby: Path, what: str, hint: str) -> None:
    """Write the files of the directory `oid` to the new folder `destination`; every byte is checked.

    `nearby` is a path in the workspace that may hold a copy, which is used if its hash matches.

    Raises:
        MissingDataError: no undamaged copy is available.
    """
    if directory_hash(nearby) == oid:
        shutil.copytree(nearby, destination, symlinks=False)
        if directory_hash(destination) == oid:
            return
    for attempt in ("cache", "remote"):
        damaged = _copy_checked(fetch(oid, what=what, hint=hint), destination)
        if not damaged:
            return
        logger.warning("DVC's cache holds damaged copies of %s; fetching them again", ", ".join(map(str, damaged)))
        if attempt == "cache":
            for path in damaged:
                path.unlink()
    raise MissingDataError(what, f"{oid}: every copy of it is damaged", hint)


def read_file(md5: str, *, nearby: Path, what: str, hint: str) -> bytes:
    """Return the content of the file whose hash is `md5`; every byte is checked.

    `nearby` is a path in the workspace that may hold a copy, which is used if its hash matches.

    Raises:
        MissingDataError: no undamaged copy is available.
    """
    if nearby.is_file():
        content = nearby.read_bytes()
        if md5_of_bytes(content) == md5:
            return content
    return fetch_file(md5, what=what, hint=hint).read_bytes()


def _pull(repo: Repo, oid: str) -> str:
    """Pull what the cache lacks of the directory `oid`; return the error, empty if there was none."""
    # Pulling a directory's hash brings only its listing.
    return _pull_listing(repo, oid) or remote.pull(repo, lacking(repo, oid).values())


def _pull_listing(repo: Repo, oid: str) -> str:
    if listing(repo, oid) is None:
        cached_path(repo, oid).unlink(missing_ok=True)  # A damaged copy, which DVC would not check.
    return remote.pull(repo, [oid])


def _had(oid: str, look: Callable[[], T | None], pull: Callable[[], str], what: str, hint: str) -> T:
    """Return what `look` finds of `oid` in the cache, after a `pull` if necessary; `pull` returns its error."""
    if (found := look()) is not None:
        return found
    trouble = pull()
    if (found := look()) is not None:
        return found
    repo = repository()
    name = remote.default_remote(repo)
    if trouble:
        said = f"{oid} is recorded, but cannot be pulled from remote {name!r}: {trouble}"
        raise MissingDataError(what, said, "run `dvc repro` again when it can be")
    looked = f"workspace, cache and remote {name!r}" if name else "workspace and cache; no remote is set"
    lost = "".join(f", since {path} is missing" for path in list(lacking(repo, oid))[:1])
    raise MissingDataError(what, f"{oid} is recorded, but cannot be found{lost} (looked in {looked})", hint)


def _is_sound(cached: Path) -> bool:
    """Whether the file `cached` exists, and its content has the MD5 that its path states."""
    return cached.is_file() and md5_of_file(cached) == cached.parent.name + cached.name


def _copy_checked(files: dict[str, Path], destination: Path) -> list[Path]:
    """Copy `files` into the new folder `destination`; return the sources whose content does not match their MD5."""
    shutil.rmtree(destination, ignore_errors=True)
    damaged = []
    for name, source in files.items():
        target = destination / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        if md5_of_file(target) != source.parent.name + source.name:
            damaged.append(source)
    return damaged
