"""data/raw as DVC tracks it: its hash now, into the cache, out of it, and lists of files put together from others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pipeline import paths
from pipeline.errors import MergeError
from pipeline.files import md5_of_bytes
from pipeline.versioning import remote
from pipeline.versioning.objects import lacking
from pipeline.versioning.repository import repository

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
    """Make data/raw what data/raw.dvc says; DVC's cache must hold that, and all that goes.

    Raises:
        MergeError: a file is in the way that DVC's cache does not hold, since it came after `commit_raw`.
    """
    from dvc_data.hashfile.checkout import PromptError, checkout

    repo, output = repository(), _raw()
    try:
        # Not by Output.checkout, which would ask, and this may be a hook of Git's.
        with repo.lock:
            checkout(output.fs_path, output.fs, output.get_obj(), output.cache, state=repo.state, ignore=repo.dvcignore)
    except PromptError as error:
        what = f"{Path(error.path).relative_to(Path.cwd())} appeared while this was running"
        raise MergeError(paths.RAW, what, "run `pipeline sync` again") from None


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


def store_file(content: bytes) -> str:
    """Put a file of `content` into DVC's cache; returns its hash."""
    from dvc_objects.fs.local import localfs

    oid = md5_of_bytes(content)
    with TemporaryDirectory() as folder:
        path = Path(folder) / oid
        path.write_bytes(content)
        repository().cache.local.add(str(path), localfs, oid)
    return oid


def _raw() -> Output:
    return repository().stage.load_one(paths.RAW_DVC.as_posix()).outs[0]
