"""data/raw as DVC tracks it: its hash now, into the cache, out of it, and lists of files put together from others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline import paths, remote
from pipeline.store import lacking, repository

if TYPE_CHECKING:
    from dvc.output import Output


def hash_raw() -> str:
    """The hash that `dvc repro` would write into data/raw.dvc now."""
    output = _raw()
    output.save()
    assert output.hash_info is not None
    return str(output.hash_info.value)


def commit_raw() -> str:
    """Take data/raw into DVC's cache, and leave data/raw.dvc as it is; returns its hash."""
    output = _raw()
    with repository().lock:
        output.save()
        output.commit()
    assert output.hash_info is not None
    return str(output.hash_info.value)


def checkout_raw() -> None:
    """Make data/raw what data/raw.dvc says; DVC's cache must hold that."""
    with repository().lock:
        _raw().checkout(force=True)


def store_listing(files: Mapping[str, str]) -> tuple[str, int | None]:
    """Put the directory of `files`, an MD5 for each path, into DVC's cache; what that lacks of them is pulled.

    Returns:
        its hash, and its size in bytes, None where some of its files are not to be had.
    """
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.meta import Meta
    from dvc_data.hashfile.tree import Tree, du

    tree: Any = Tree()  # type: ignore[no-untyped-call]
    repo = repository()
    for path, md5 in sorted(files.items()):
        tree.add(tuple(path.split("/")), Meta(), HashInfo("md5", md5))
    tree.digest()
    repo.cache.local.add(tree.path, tree.fs, tree.oid)
    remote.pull(repo, lacking(repo, tree.oid).values())
    return str(tree.oid), du(repo.cache.local, tree)  # type: ignore[no-untyped-call]


def _raw() -> Output:
    return repository().stage.load_one(paths.RAW_DVC.as_posix()).outs[0]
