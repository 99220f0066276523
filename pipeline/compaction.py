"""Folding small shards together, and leaving out what no image is kept in; which changes no manifest.

Each run appends a shard of its own, so they pile up; and what was removed from data/raw stays in its shard.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline import index, paths
from pipeline.shards import BLOCK, ShardReader, ShardWriter, shard_name

# So many small shards may lie about.
MAX_SMALL = 16


def compact(table: pa.Table, folder: Path, *, first: int, limit: int) -> pa.Table:
    """Write what is worth it into new shards in `folder`, numbered from `first`; shards lie there or in data/images.

    Args:
        table: the index, of `index.SCHEMA`.
        folder: where new shards are written.
        first: the number of the next shard.
        limit: bytes that a shard holds at most.

    Returns:
        `table` with the places where its images are now.
    """
    moving = _shards_to_move(table, folder, limit)
    if not moving:
        return table
    columns = {name: index.numbers(table, name) for name in ("shard", "offset")}
    lengths, ids = index.numbers(table, "length"), table["id"]
    rows = np.flatnonzero(np.isin(columns["shard"], sorted(moving)))
    order = rows[np.lexsort((columns["offset"][rows], columns["shard"][rows]))]
    with (
        ShardReader(folder) as here,
        ShardReader(paths.IMAGES) as published,
        ShardWriter(folder, first=first, limit=limit) as writer,
    ):
        for row in order.tolist():
            shard, offset = int(columns["shard"][row]), int(columns["offset"][row])
            reader = here if (folder / shard_name(shard)).exists() else published
            data = reader.read(shard, offset, int(lengths[row]))
            suffix = "png" if data.startswith(b"\x89PNG") else "jpg"
            columns["shard"][row], columns["offset"][row] = writer.append(f"{ids[row].as_py()}.{suffix}", data)
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), pa.array(values))
    return table


def _shards_to_move(table: pa.Table, folder: Path, limit: int) -> set[int]:
    """The shards that are mostly dead, and, if there are too many, those that are small."""
    shards, position = np.unique(index.numbers(table, "shard"), return_inverse=True)
    sizes = np.array([_size(folder, shard) for shard in shards.tolist()])
    # Tar's own headers and padding are no dead weight, so an image counts for a little more than its bytes.
    live = np.bincount(position, index.numbers(table, "length") + 2 * BLOCK)
    dead, small = set(shards[live < sizes / 2].tolist()), set(shards[sizes < limit / 2].tolist())
    return dead | small if len(small) > MAX_SMALL else dead


def _size(folder: Path, number: int) -> int:
    path = folder / shard_name(number)
    return (path if path.exists() else paths.IMAGES / path.name).stat().st_size
