"""Where the index and the shards are that data/images lacks, and whether they are fetched whole or read in ranges."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import paths
from pipeline.files import md5_of_file
from pipeline.images import index
from pipeline.images.pixels import Slot
from pipeline.images.remote_shards import RemoteShards
from pipeline.images.shards import shard_name
from pipeline.params import Compute
from pipeline.versioning import outputs
from pipeline.versioning.fetching import fetch_listing, fetch_member
from pipeline.versioning.lock import read_record
from pipeline.versioning.objects import cached_path
from pipeline.versioning.repository import repository

# `auto` reads ranges where fewer of the missing bytes are asked for, or where they would take more of the free disk.
SHARE = 0.5


def find_index(*, whole: bool, hint: str) -> Path:
    """The index of data/images; where the workspace has none, that which dvc.lock records, in DVC's cache.

    If `whole`, all of data/images is brought back instead.

    Raises:
        MissingDataError: neither cache nor remote has it.
    """
    if whole:
        index.restore(hint=hint)
    oid = _recorded()
    if index.INDEX.exists() or oid is None:
        return index.INDEX
    return fetch_member(oid, index.INDEX.name, what=paths.IMAGES.as_posix(), hint=hint)


def find_shards(table: pa.Table, slots: Sequence[Slot], compute: Compute, *, hint: str) -> RemoteShards | None:
    """Those shards that are to be read elsewhere of the images at `slots`, None if none; others are here from now on.

    `table` is the index, with its columns shard and length.

    Raises:
        MissingDataError: neither cache nor remote has a shard that is to be here.
    """
    asked = _bytes_by_shard(*(np.array([slot[part] for slot in slots], np.int64) for part in (0, 2)))
    gone, oid = [number for number in asked if not (paths.IMAGES / shard_name(number)).exists()], _recorded()
    if not gone or oid is None:
        return None
    listed = fetch_listing(oid, what=paths.IMAGES.as_posix(), hint=hint)
    shards, lengths = (table[name].to_numpy() for name in ("shard", "length"))
    sizes = {
        number: size
        for number, size in _bytes_by_shard(shards, lengths).items()
        if not (paths.IMAGES / shard_name(number)).exists()
    }
    is_record = not index.INDEX.exists() or md5_of_file(index.INDEX) == listed.get(index.INDEX.name)
    if is_record and not _are_ranges_read(compute, sizes, asked, listed):
        outputs.checkout("ingest", paths.IMAGES, hint=hint)
        return None
    oids = {number: listed[shard_name(number)] for number in gone if shard_name(number) in listed}
    return RemoteShards(oids, limit=compute.stored * 2**20, processes=compute.devices) if oids else None


def _are_ranges_read(compute: Compute, sizes: dict[int, int], asked: dict[int, int], listed: dict[str, str]) -> bool:
    """Whether shards that are missing, whose bytes are `sizes`, are read in ranges; `asked` bytes of each."""
    if compute.fetch != "auto":
        return compute.fetch == "stream"
    repo = repository()
    far = [
        number
        for number in sizes
        if shard_name(number) in listed and not cached_path(repo, listed[shard_name(number)]).exists()
    ]
    missing, wanted = sum(sizes[number] for number in far), sum(asked.get(number, 0) for number in far)
    return wanted < SHARE * missing or missing > SHARE * shutil.disk_usage(paths.DATA).free


def _recorded() -> str | None:
    """The hash of data/images that dvc.lock records."""
    ingested = read_record().get("ingest")
    return ingested.outs.get(paths.IMAGES.as_posix()) if ingested else None


def _bytes_by_shard(shards: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> dict[int, int]:
    """The bytes of images in each shard, by number."""
    sums = np.bincount(shards, lengths)
    return {int(number): int(sums[number]) for number in np.unique(shards)}
