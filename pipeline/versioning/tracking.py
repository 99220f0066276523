"""Folders tracked by .dvc files: moves data/raw to and from the cache, and lists files that may be absent locally."""

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
    """Add the files that are present in data/raw to DVC's cache; data/raw.dvc is not changed."""
    output = _raw()
    with repository().lock:
        output.save()
        output.commit()


def checkout_raw(files: Mapping[str, str]) -> None:
    """Make data/raw contain exactly `files`, MD5s by path; DVC's cache must have them, and all files that are removed.

    Raises:
        MergeError: a file that would be removed is not in DVC's cache, since it was added after `commit_raw`.
    """
    from dvc_data.hashfile.checkout import PromptError, checkout

    repo, output = repository(), _raw()
    try:
        # Output.checkout would ask the user, but this may run in a Git hook.
        with repo.lock:
            checkout(output.fs_path, output.fs, _tree(files), output.cache, state=repo.state, ignore=repo.dvcignore)
    except PromptError as error:
        raise _appeared(str(Path(error.path).relative_to(Path.cwd()))) from None


def replace_in_raw(files: Mapping[str, str], before: Mapping[str, str]) -> None:
    """Replace, each atomically, the files of data/raw whose MD5 in `files` is not the one that they had `before`.

    `checkout_raw` removes a file before it writes the new one: after a kill in between, it would seem to be removed.

    Raises:
        MergeError: one of the files has changed since.
    """
    for path, md5 in files.items():
        if before.get(path, md5) != md5:
            if md5_of_file(paths.RAW / path) != before[path]:
                raise _appeared(str(paths.RAW / path))
            aside = REPLACING / md5
            link(md5, aside)
            aside.replace(paths.RAW / path)


def put_in_raw(files: Mapping[str, str]) -> None:
    """Add `files`, MD5s by path, to those in data/raw; DVC's cache must have them."""
    for path, md5 in files.items():
        link(md5, paths.RAW / path)


def store_listing(files: Mapping[str, str]) -> str:
    """Store the listing of a directory of `files`, MD5s by path, in DVC's cache; return its hash."""
    tree, cache = _tree(files), repository().cache.local
    cache.add(tree.path, tree.fs, tree.oid)
    return str(tree.oid)


def listing_as(version: bytes, files: Mapping[str, str], *, pull: bool) -> bytes:
    """Return `version`, a content of data/raw.dvc, changed so that it lists `files`; store the listing in DVC's cache.

    `pull` states whether to pull the files themselves into the cache, too, as far as the remote has them.
    """
    repo, out = repository(), YAML().load(version)["outs"][0]
    before, size = listing(repo, str(out["md5"])) or {}, None
    oid = store_listing(files)
    if pull:
        remote.pull(repo, lacking(repo, oid).values())
    with suppress(OSError):  # The size of files that the cache lacks is unknown.
        size = _size(files.values()) if pull else _changed_size(out.get("size"), before, files)
    return described(version, oid=oid, size=size, files=len(files))


def described(version: bytes, *, oid: str, size: int | None, files: int) -> bytes:
    """Return the content `version` of a .dvc file with another hash, size in bytes and number of files."""
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
    """Place the file with this MD5 from DVC's cache at `path` as DVC does: as a copy, or as `cache.type` configures."""
    from dvc_data.hashfile.checkout import checkout
    from dvc_objects.fs.local import localfs

    repo = repository()
    path.parent.mkdir(parents=True, exist_ok=True)
    cache = repo.cache.local
    checkout(str(path.absolute()), localfs, cache.get(md5), cache, state=repo.state)


def store_file(content: bytes) -> str:
    """Store a file with this `content` in DVC's cache; return its hash."""
    from dvc_objects.fs.local import localfs

    oid = md5_of_bytes(content)
    with TemporaryDirectory() as folder:
        path = Path(folder) / oid
        path.write_bytes(content)
        repository().cache.local.add(str(path), localfs, oid)
    return oid


def _tree(files: Mapping[str, str]) -> Any:
    """Return DVC's Tree of `files`, MD5s by path."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.meta import Meta
    from dvc_data.hashfile.tree import Tree

    tree: Any = Tree()  # type: ignore[no-untyped-call]
    for path, md5 in sorted(files.items()):
        tree.add(tuple(path.split("/")), Meta(), HashInfo("md5", md5))
    tree.digest()
    return tree


def _size(md5s: Iterable[str]) -> int:
    """Return the total size of the objects in bytes; DVC's cache must have all of them."""
    repo = repository()
    return sum(cached_path(repo, md5).stat().st_size for md5 in md5s)


def _changed_size(size: int | None, before: Mapping[str, str], now: Mapping[str, str]) -> int:
    """Return the total size in bytes of the files `now`, given the `size` of the files `before`."""
    if size is None or not before:
        return _size(now.values())
    new, gone = (dict(one.items() - other.items()) for one, other in ((now, before), (before, now)))
    return size + _size(new.values()) - _size(gone.values())


def _raw() -> Output:
    return repository().stage.load_one(paths.RAW_DVC.as_posix()).outs[0]
