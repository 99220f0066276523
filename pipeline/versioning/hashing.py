"""The hashes that DVC gives to files and directories in their present state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import paths
from pipeline.files import md5_of_bytes, md5_of_file
from pipeline.versioning.repository import repository

if TYPE_CHECKING:
    from dvc.ignore import DvcIgnoreFilter
    from dvc_data.hashfile.db import HashFileDB


def path_hash(path: Path) -> str | None:
    """Return the hash that DVC gives the dependency `path`, a file or a directory; None where it is neither.

    Reads every byte.
    """
    return md5_of_file(path) if path.is_file() else directory_hash(path, without_ignored=True)


def directory_hash(path: Path, *, without_ignored: bool = False) -> str | None:
    """Return the hash that DVC gives the directory `path` now; None where there is none. Reads every byte.

    `without_ignored` leaves out what .dvcignore names, for example __pycache__, as DVC does for a stage's dependencies.
    """
    from dvc_data.hashfile.db import HashFileDB
    from dvc_objects.fs.local import localfs

    ignored = None
    if without_ignored:
        from dvc.ignore import DvcIgnoreFilter  # A late import: it loads half of DVC.

        ignored = DvcIgnoreFilter(localfs, str(Path.cwd()))
    return _directory_hash(path, HashFileDB(localfs, str(paths.PROGRESS)), ignored)


def known_directory_hash(path: Path) -> str | None:
    """Return `directory_hash` without reading files that DVC has hashed before and that show no sign of a change."""
    return _directory_hash(path, repository().cache.local)


def hash_of_files(files: dict[str, bytes]) -> str:
    """Return the hash that DVC gives a directory of `files`, contents by name."""
    return hash_of_listing({name: md5_of_bytes(content) for name, content in files.items()})


def hash_of_listing(files: Mapping[str, str]) -> str:
    """Return the hash that DVC gives a directory of `files`, MD5s by path."""
    listed = [{"md5": md5, "relpath": path} for path, md5 in sorted(files.items())]
    return md5_of_bytes(json.dumps(listed, sort_keys=True).encode()) + ".dir"


def workspace_listing(path: Path) -> tuple[str, dict[str, str]]:
    """Return the present hash of the directory `path`, and the MD5 of each file in it that DVC does not ignore.

    Files that DVC has hashed before, and that show no sign of a change since, are not read.
    """
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.tree import Tree
    from dvc_objects.fs.local import localfs

    repo = repository()
    _, _, tree = build(repo.cache.local, str(path.resolve()), localfs, "md5", ignore=repo.dvcignore, dry_run=True)
    assert isinstance(tree, Tree)
    return str(tree.oid), {entry["relpath"]: entry["md5"] for entry in tree.as_list()}


def _directory_hash(path: Path, odb: HashFileDB, ignored: DvcIgnoreFilter | None = None) -> str | None:
    from dvc_data.hashfile.build import build
    from dvc_objects.fs.local import localfs

    if not path.is_dir():
        return None
    _, _, obj = build(odb, str(path.resolve()), localfs, "md5", ignore=ignored, dry_run=True)
    assert obj.hash_info is not None
    return str(obj.hash_info.value)
