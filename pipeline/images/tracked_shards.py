"""data/shards.dvc, which lists all shards that the index names, whether or not they are present locally."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.files import write_text
from pipeline.git import git
from pipeline.images.shard_files import ShardFile
from pipeline.images.shards import shard_name
from pipeline.versioning.hashing import workspace_listing
from pipeline.versioning.lock import read_raw_hash
from pipeline.versioning.objects import cached_path
from pipeline.versioning.repository import repository
from pipeline.versioning.tracking import described, store_listing


def track(shards: Mapping[int, ShardFile]) -> None:
    """Write the list of `shards` to data/shards.dvc, and add those that are local to DVC's cache.

    Raises:
        RecordError: another DVC command holds its lock, or another process has locked Git's index.
    """
    from dvc.lock import LockError

    repo = repository()
    # DVC would lock Git's index in this process, and a kill would leave the lock behind.
    setattr(repo.scm_context, "add", _stage)  # noqa: B010 (it is a method)
    listed = {shard_name(number): shard.md5 for number, shard in shards.items()}
    oid = store_listing(listed)
    new = [
        paths.SHARDS / name
        for name, md5 in sorted(listed.items())
        if (paths.SHARDS / name).exists() and not cached_path(repo, md5).exists()
    ]
    if not new and _is_listed(oid):
        return
    try:
        if not workspace_listing(paths.SHARDS)[1].items() ^ listed.items():
            _add([paths.SHARDS])
            return
        sizes = [shard.size for shard in shards.values()]
        version = f"outs:\n- md5: ''\n  size: 0\n  nfiles: 0\n  hash: md5\n  path: {paths.SHARDS.name}\n".encode()
        size = sum(sizes) if min(sizes, default=0) >= 0 else None
        write_text(paths.SHARDS_DVC, described(version, oid=oid, size=size, files=len(listed)).decode())
        with repo.scm_context(quiet=True) as context:
            context.track_file(str(paths.SHARDS_DVC))
        if new:
            _add(new)  # Added to the list, which keeps the shards that are not local.
    except LockError:
        what = "another DVC command is running"
        raise RecordError(paths.SHARDS_DVC, what, "wait until it ends, then run this again") from None


def _stage(files: Iterable[str]) -> None:
    git("add", "--", *sorted(files))


def _add(places: Iterable[Path]) -> None:
    """Add `places` as `dvc add` does, but without its progress bar."""
    log = logging.getLogger("dvc")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        repository().add([str(place) for place in places])
    finally:
        log.setLevel(level)


def _is_listed(oid: str) -> bool:
    """Whether data/shards.dvc lists the directory `oid`."""
    try:
        return read_raw_hash(paths.SHARDS_DVC) == oid
    except RecordError:
        return False
