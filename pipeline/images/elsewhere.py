"""Finding an index and shards that the workspace lacks, and whether to fetch whole shards or read byte ranges."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import paths
from pipeline.files import md5_of_file
from pipeline.images import index
from pipeline.images.pixels import Slots
from pipeline.images.remote_shards import RemoteShards
from pipeline.images.shard_files import ShardFile, are_here, bring, named_shards
from pipeline.params import Compute
from pipeline.versioning.fetching import fetch_file
from pipeline.versioning.lock import read_record
from pipeline.versioning.objects import cached_path
from pipeline.versioning.repository import repository

# `auto` reads byte ranges if less than this share of the missing bytes is needed, or if whole shards would fill more
# than this share of the free disk space.
SHARE = 0.5


def find_index(*, hint: str) -> Path:
    """Return the path of the index: that in data/images, or, if there is none, dvc.lock's in DVC's cache.

    Raises:
        MissingDataError: neither cache nor remote has the index.
    """
    if index.INDEX.exists():
        return index.INDEX
    md5 = index.recorded_files(hint=hint).get(index.INDEX.name)
    return fetch_file(md5, what=str(index.INDEX), hint=hint) if md5 else index.INDEX


def find_shards(
    path: Path, table: pa.Table, slots: Slots, compute: Compute | None, *, hint: str
) -> RemoteShards | None:
    """Return the shards of the images at `slots` that are to be read from elsewhere, None if there are none.

    All other shards are in data/shards when it returns. `table` is the index `path`, with its columns shard and
    length. Without `compute`, all missing shards are fetched.

    Raises:
        MissingDataError: neither cache nor remote has a shard that must be fetched.
    """
    asked = _bytes_by_shard(slots.shards, slots.lengths)
    if not asked.keys() - are_here(asked) or "ingest" not in read_record():
        return None
    files = _named(path, hint=hint)
    sizes = _bytes_by_shard(*(table[name].to_numpy() for name in ("shard", "length")))
    missing = {number: files[number] for number in files.keys() & sizes.keys() - are_here(sizes)}
    gone = {number: file for number, file in missing.items() if number in asked}
    if compute is None or not _are_ranges_read(compute, missing, sizes, asked):
        bring(gone, hint=hint)
        return None
    oids = {number: file.md5 for number, file in gone.items()}
    return RemoteShards(oids, limit=compute.stored * 2**20, processes=compute.devices) if oids else None


def _named(path: Path, *, hint: str) -> Mapping[int, ShardFile]:
    """Return the shards that the index `path` names; from dvc.lock, if an older release wrote an index without them."""
    if files := named_shards(path):
        return files
    listed = index.recorded_files(hint=hint)
    return named_shards(path, listed) if md5_of_file(path) == listed.get(index.INDEX.name) else {}


def _are_ranges_read(
    compute: Compute, missing: Mapping[int, ShardFile], sizes: Mapping[int, int], asked: Mapping[int, int]
) -> bool:
    """Whether to read byte ranges of the shards `missing`; `asked` and `sizes` are needed and all bytes by shard."""
    if compute.fetch != "auto":
        return compute.fetch == "stream"
    repo = repository()
    far = [number for number, file in missing.items() if not cached_path(repo, file.md5).exists()]
    whole, wanted = sum(sizes[number] for number in far), sum(asked.get(number, 0) for number in far)
    return wanted < SHARE * whole or whole > SHARE * shutil.disk_usage(paths.DATA).free


def _bytes_by_shard(shards: npt.NDArray[np.integer[Any]], lengths: npt.NDArray[np.integer[Any]]) -> dict[int, int]:
    """Return the total bytes of images in each shard, by shard number."""
    sums = np.bincount(shards, lengths)
    return {int(number): int(sums[number]) for number in np.unique(shards)}
