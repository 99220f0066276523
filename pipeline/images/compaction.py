"""Folding small shards together, and leaving out what no image is kept in; which changes no manifest.

Each run appends a shard of its own, so they pile up; and what was removed from data/raw stays in its shard, unless it
is to be erased.
"""

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet, paths
from pipeline.errors import ImagesError
from pipeline.files import md5_of_bytes, put
from pipeline.images.shard_files import ShardFile, are_here, bring
from pipeline.images.shards import END, ShardReader, ShardWriter, last_shard, names_in, shard_name, size_of_image
from pipeline.versioning.fetching import PUSH_FIRST

NONE: Mapping[int, ShardFile] = MappingProxyType({})
Numbers = npt.NDArray[np.integer[Any]]
# So many small shards may lie about.
MAX_SMALL = 16


def compact(
    table: pa.Table, *, limit: int, also: Collection[int] = (), files: Mapping[int, ShardFile] = NONE
) -> pa.Table:
    """Write what is worth it, and the shards `also`, into new shards of at most `limit` bytes in data/shards.

    Of `files`, the shards that need not be here, those are fetched that are among `also`; no others are worth it.

    Returns:
        `table`, the index, with the places where its images are now. The old shards are still there.

    Raises:
        ImagesError: an image that was to be copied is damaged.
        MissingDataError: a shard is to be had nowhere.
    """
    moving = _shards_to_move(table, limit) | set(also)
    if not moving:
        return table
    _bring(files, also)
    aside = paths.PROGRESS / "compaction"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    shards, offsets = parquet.numbers(table, "shard").copy(), parquet.numbers(table, "offset").copy()
    rows = np.flatnonzero(np.isin(shards, sorted(moving)))
    columns = [table[name] for name in ("id", "length", "md5")]
    with (
        ShardReader(paths.SHARDS) as reader,
        ShardWriter(aside, first=last_number(table) + 1, limit=limit) as writer,
    ):
        for row in rows[np.lexsort((offsets[rows], shards[rows]))].tolist():
            image_id, length, md5 = (column[row].as_py() for column in columns)
            data = reader.read(int(shards[row]), int(offsets[row]), length)
            if md5_of_bytes(data) != md5:
                where = paths.SHARDS / shard_name(int(shards[row]))
                raise ImagesError(where, f"image {image_id} is damaged", "run `dvc repro` again, to decode it again")
            suffix = "png" if data.startswith(b"\x89PNG") else "jpg"
            shards[row], offsets[row] = writer.append(f"{image_id}.{suffix}", data)
    for path in aside.iterdir():
        put(path, paths.SHARDS / path.name)
    return _with_places(table, shards, offsets)


def _with_places(table: pa.Table, shards: Numbers, offsets: Numbers) -> pa.Table:
    """The index `table` with its images at these places, shape (rows,) each."""
    for name, values in (("shard", shards), ("offset", offsets)):
        field = table.schema.field(name)
        table = table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))
    return table


def last_number(table: pa.Table) -> int:
    """The highest number of a shard that is here or that the index `table` names, -1 where there is none."""
    return max(last_shard(paths.SHARDS), int(parquet.numbers(table, "shard").max(initial=-1)))


def undamaged(table: pa.Table, suspects: Collection[int]) -> pa.Table:
    """The index `table` without those images of the shards `suspects` that are not in data/shards as it says.

    It reads all of these.
    """
    if not suspects:
        return table  # To filter is to copy.
    checked = table.filter(pc.is_in(table["shard"], parquet.integers(sorted(suspects))))
    with ShardReader(paths.SHARDS) as reader:
        columns = (checked[name].to_pylist() for name in ("id", "shard", "offset", "length", "md5"))
        damaged = [one for one, *place, md5 in zip(*columns, strict=True) if _md5(reader, *place) != md5]
    return table.filter(pc.invert(pc.is_in(table["id"], parquet.strings(damaged)))) if damaged else table


def _md5(reader: ShardReader, shard: int, offset: int, length: int) -> str | None:
    try:
        return md5_of_bytes(reader.read(shard, offset, length))
    except FileNotFoundError:
        return None


def holding_removed(table: pa.Table, ids: Collection[str] | None, files: Mapping[int, ShardFile] = NONE) -> set[int]:
    """The shards that the index `table` names, and that hold an image which it has not there any more.

    One of `ids`, or any image where that is None. Of shards that are not here, those among `files` are fetched, and
    others passed over.

    Raises:
        MissingDataError: one of them is to be had nowhere.
    """
    if ids is not None and not ids:
        return set()
    shards, sizes, live = _sizes(table, files)
    suspects = set(shards[sizes > live + len(END)].tolist())
    if ids is None:
        return suspects
    _bring(files, suspects)
    return {shard for shard in suspects if not removed_in(table, shard).isdisjoint(ids)}


def removed_in(table: pa.Table, shard: int) -> set[str]:
    """The ids of the images in shard `shard` that the index `table` has not there."""
    there = table["id"].filter(pc.equal(table["shard"], shard)).to_pylist()
    return {Path(name).stem for name in names_in(paths.SHARDS / shard_name(shard))} - set(there)


def _shards_to_move(table: pa.Table, limit: int) -> set[int]:
    """The shards here that are mostly dead, and, if there are too many, those that are small."""
    shards, sizes, live = _sizes(table, NONE)
    is_here = np.isin(shards, sorted(are_here(shards.tolist())))
    shards, sizes, live = shards[is_here], sizes[is_here], live[is_here]
    dead, small = set(shards[live < sizes / 2].tolist()), set(shards[sizes < limit / 2].tolist())
    return dead | small if len(small) > MAX_SMALL else dead


def _sizes(table: pa.Table, files: Mapping[int, ShardFile]) -> tuple[Numbers, Numbers, Numbers]:
    """The shards that `table` names, their sizes in bytes, and what its images take of them; shape (shards,) each.

    A shard that is not here has the size that `files` says; as if nothing of it were dead, if they say none.
    """
    of_image = parquet.numbers(table, "shard")
    shards = np.flatnonzero(np.bincount(of_image))
    live = np.bincount(of_image, size_of_image(parquet.numbers(table, "length")))[shards]
    sizes, here = live.astype(np.int64) + len(END), are_here(shards.tolist())
    for row, number in enumerate(shards.tolist()):
        if number in here:
            sizes[row] = (paths.SHARDS / shard_name(number)).stat().st_size
        elif number in files and files[number].size >= 0:
            sizes[row] = files[number].size
    return shards, sizes, live.astype(np.int64)


def _bring(files: Mapping[int, ShardFile], numbers: Collection[int]) -> None:
    """Have those of `files` here that are of these `numbers`."""
    bring({number: files[number] for number in numbers if number in files}, hint=PUSH_FIRST)
