"""The objects in DVC's cache, by hash; nothing is pulled."""

from __future__ import annotations

import json
from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.files import md5_of_bytes
from pipeline.versioning.repository import repository

if TYPE_CHECKING:
    from dvc.repo import Repo


def lacking(repo: Repo, oid: str) -> dict[str, str]:
    """Return the MD5s, by path, of the files of the directory `oid` that the cache lacks."""
    entries = listing(repo, oid) or {}
    return {path: md5 for path, md5 in entries.items() if not cached_path(repo, md5).exists()}


def missing_files(oid: str, *, besides: Container[str]) -> list[str] | None:
    """Return the files of the directory `oid` that are neither in DVC's cache nor in `besides`.

    None if the cache lacks the listing of `oid`.
    """
    repo = repository()
    return None if listing(repo, oid) is None else [path for path in lacking(repo, oid) if path not in besides]


def listing(repo: Repo, oid: str) -> dict[str, str] | None:
    """Return the MD5 of each file in the directory `oid`, by relative path; None if the cache has no sound listing.

    The listing is read from DVC's JSON file, since DVC's Tree objects take a kilobyte per entry.
    """
    try:
        content = cached_path(repo, oid).read_bytes()
    except FileNotFoundError:
        return None
    if md5_of_bytes(content) + ".dir" != oid:
        return None
    return {entry["relpath"]: entry["md5"] for entry in json.loads(content)}


def is_cached(oid: str) -> bool:
    """Whether DVC's cache has all of the directory `oid`."""
    return cached_files(repository(), oid) is not None


def cached_files(repo: Repo, oid: str) -> dict[str, Path] | None:
    """Return the cached file of each path in the directory `oid`; None if any is missing."""
    entries = listing(repo, oid)
    if entries is None:
        return None
    files = {path: cached_path(repo, md5) for path, md5 in entries.items()}
    return files if all(path.exists() for path in files.values()) else None


def cached_path(repo: Repo, oid: str) -> Path:
    """Return the path of the object `oid` in DVC's cache, whether or not it exists."""
    return Path(repo.cache.local.oid_to_path(oid))
