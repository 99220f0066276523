"""Folders that .dvc files track: data/raw into the cache and out of it, and lists of files that need not be here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from pipeline import paths
from pipeline.errors import MergeError
from pipeline.files import md5_of_bytes, md5_of_file
from pipeline.versioning import remote
from pipeline.versioning.objects import cached_path, lacking, listing
from pipeline.versioning.repository import repository

if TYPE_CHECKING:
    from dvc.output import Output

REPLACING = paths.PROGRESS / "replacing"


def commit_raw() -> None:
    """Take the files of data/raw that are here into DVC's cache, and leave data/raw.dvc as it is."""
    output = _raw()
    with repository().lock:
        output.save()
        output.commit()


def checkout_raw(files: Mapping[str, str]) -> None:
    """Make data/raw hold `files`, an MD5 for each path, and no others; DVC's cache must hold them, and all that goes.

    Raises:
        MergeError: a file is in the way that DVC's cache does not hold, since it came after `commit_raw`.
    """
    from dvc_data.hashfile.checkout import PromptError, checkout

    repo, output = repository(), _raw()
    try:
        # Not by Output.checkout, which would ask, and this may be a hook of Git's.
        with repo.lock:
            checkout(output.fs_path, output.fs, _tree(files), output.cache, state=repo.state, ignore=repo.dvcignore)
    except PromptError as error:
        raise _appeared(str(Path(error.path).relative_to(Path.cwd()))) from None


def replace_in_raw(files: Mapping[str, str], before: Mapping[str, str]) -> None:
    """Replace the files of data/raw that `files` has another MD5 for than they had `before`, each in one step.

    `checkout_raw` takes a file away before it puts another in its place: after a kill it would seem to be removed.

    Raises:
        MergeError: one of them has changed since.
    """
    for path, md5 in files.items():
        if before.get(path, md5) != md5:
            if md5_of_file(paths.RAW / path) != before[path]:
                raise _appeared(str(paths.RAW / path))
            aside = REPLACING / md5
            link(md5, aside)
            aside.replace(paths.RAW / path)


def put_in_raw(files: Mapping[str, str]) -> None:
    """Put `files`, an MD5 for each path, into data/raw next to what is there; DVC's cache must hold them."""
    for path, md5 in files.items():
        link(md5, paths.RAW / path)


def store_listing(files: Mapping[str, str]) -> str:
    """Put the directory of `files`, an MD5 for each path, into DVC's cache; returns its hash."""
    tree, cache = _tree(files), repository().cache.local
    cache.add(tree.path, tree.fs, tree.oid)
    return str(tree.oid)


def listing_as(version: bytes, files: Mapping[str, str], *, pull: bool) -> bytes:
    """The `version` of data/raw.dvc, but listing `files`, whose listing DVC's cache holds from now on.

    `pull` says whether the files themselves are to be there, too, as far as they can be had.
    """
    repo, out = repository(), YAML().load(version)["outs"][0]
    before, size = listing(repo, str(out["md5"])) or {}, None
    oid = store_listing(files)
    if pull:
        remote.pull(repo, lacking(repo, oid).values())
    with suppress(OSError):  # Those that are not here have a size that is not known.
        size = _size(files.values()) if pull else _changed_size(out.get("size"), before, files)
    return described(version, oid=oid, size=size, files=len(files))


def described(version: bytes, *, oid: str, size: int | None, files: int) -> bytes:
    """The `version` of a .dvc file, with the hash, size in bytes and number of files of its folder."""
    yaml = YAML()
    content = yaml.load(version)
    out = content["outs"][0]
    out.pop("size", None)
    out["md5"], out["nfiles"] = oid, files
    if size is not None:
        out.insert(1, "size", size)
    written = BytesIO()
    yaml.dump(content, written)
    return written.getvalue()


def _appeared(path: str) -> MergeError:
    return MergeError(paths.RAW, f"{path} appeared while this was running", "run `pipeline sync` again")


def link(md5: str, path: Path) -> None:
    """Put the file of this MD5, which DVC's cache holds, to `path`, as DVC does: a copy, or what `cache.type` says."""
    from dvc_data.hashfile.checkout import checkout
    from dvc_objects.fs.local import localfs

    repo = repository()
    path.parent.mkdir(parents=True, exist_ok=True)
    cache = repo.cache.local
    checkout(str(path.absolute()), localfs, cache.get(md5), cache, state=repo.state)


def store_file(content: bytes) -> str:
    """Put a file of `content` into DVC's cache; returns its hash."""
    from dvc_objects.fs.local import localfs

    oid = md5_of_bytes(content)
    with TemporaryDirectory() as folder:
        path = Path(folder) / oid
        path.write_bytes(content)
        repository().cache.local.add(str(path), localfs, oid)
    return oid


def _tree(files: Mapping[str, str]) -> Any:
    """DVC's directory of `files`, an MD5 for each path."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.meta import Meta
    from dvc_data.hashfile.tree import Tree

    tree: Any = Tree()  # type: ignore[no-untyped-call]
    for path, md5 in sorted(files.items()):
        tree.add(tuple(path.split("/")), Meta(), HashInfo("md5", md5))
    tree.digest()
    return tree


def _size(md5s: Iterable[str]) -> int:
    """How many bytes objects have, all of which DVC's cache must hold."""
    repo = repository()
    return sum(cached_path(repo, md5).stat().st_size for md5 in md5s)


def _changed_size(size: int | None, before: Mapping[str, str], now: Mapping[str, str]) -> int:
    """The size of the files `now`, where those `before` had `size`."""
    if size is None or not before:
        return _size(now.values())
    new, gone = (dict(one.items() - other.items()) for one, other in ((now, before), (before, now)))
    return size + _size(new.values()) - _size(gone.values())


def _raw() -> Output:
    return repository().stage.load_one(paths.RAW_DVC.as_posix()).outs[0]
