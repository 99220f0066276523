"""Folding small shards together, and leaving out what no image is kept in; which changes no manifest.

Each run appends a shard of its own, so they pile up; and what was removed from data/raw stays in its shard.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline import paths
from pipeline.shards import ShardReader, ShardWriter, shard_name

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
    rows = _rows_to_move(table, folder, limit)
    if not len(rows):
        return table
    columns = {name: table[name].to_numpy().copy() for name in ("shard", "offset")}
    lengths, ids = table["length"].to_numpy(), table["id"]
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


def _rows_to_move(table: pa.Table, folder: Path, limit: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """The rows in shards that are mostly dead, and, if there are too many, in those that are small."""
    shards = table["shard"].to_numpy()
    numbers, position = np.unique(shards, return_inverse=True)
    live = np.bincount(position, weights=table["length"].to_numpy())
    sizes = np.array([_size(folder, number) for number in numbers.tolist()])
    small = sizes < limit / 2
    # Tar's own headers and padding are no dead weight, so small images count for more than their bytes.
    dead = (live + 1024 * np.bincount(position)) < sizes / 2
    move = dead | small if small.sum() > MAX_SMALL else dead
    return np.flatnonzero(move[position])


def _size(folder: Path, number: int) -> int:
    path = folder / shard_name(number)
    return (path if path.exists() else paths.IMAGES / path.name).stat().st_size
