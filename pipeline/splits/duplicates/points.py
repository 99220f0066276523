"""Descriptors (perceptual_hash.py) as points in space, one coordinate per column, for the near-duplicate search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ingestion.perceptual_hash import STEPS

Rows = npt.NDArray[np.int8]  # descriptors, shape (n, 64)
Positions = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

# Weight of the mean against a term, in hundredths; number of coordinates that the grid cuts; images per block.
MEAN_WEIGHT, AXES, IMAGES = 30, 12, 4096


@dataclass(frozen=True, kw_only=True)
class Points:
    """Descriptors as points, in grey levels: the weighted mean, then the cosine terms."""

    first: Floats
    """The coordinates that the grid cuts, shape (n, AXES)."""
    contrast: Floats

    @classmethod
    def of(cls, rows: Rows) -> Points:
        """Convert `rows`, which should be few: coordinates take four times the memory of descriptors."""
        terms = rows[:, 2:].astype(np.float32) * _steps(rows)
        return cls(first=cut(rows), contrast=np.sqrt(squared(terms)))


def read_rows(path: Path, order: pa.Array | None) -> Rows:
    """Read the descriptors of the index `path`, in the given `order` or the file's; empty if there is no file."""
    if not path.exists():
        return np.empty((0, 64), np.int8)
    past = 0
    with pq.ParquetFile(path) as file:
        rows = np.empty((file.metadata.num_rows, 64), np.int8)
        for batch in file.iter_batches(columns=["descriptor"]):
            column = batch.column(0)
            there = np.frombuffer(column.buffers()[1], np.int8).reshape(-1, 64)
            rows[past : past + len(column)] = there[column.offset :][: len(column)]
            past += len(column)
    return rows if order is None else rows.take(order.to_numpy(), 0)


def cut(rows: Rows) -> Floats:
    """Return the coordinates that the grid cuts, shape (n, AXES)."""
    coordinates = rows[:, 1 : 1 + AXES].astype(np.float32)
    coordinates[:, 0] *= MEAN_WEIGHT / 100
    coordinates[:, 1:] *= _steps(rows)
    return coordinates


def following(rows: Rows) -> Floats:
    """Return the next `AXES` coordinates after those of `cut`, shape (n, AXES)."""
    coordinates: Floats = rows[:, 1 + AXES : 1 + 2 * AXES].astype(np.float32) * _steps(rows)
    return coordinates


def _steps(rows: Rows) -> Floats:
    """Return the quantisation step of each row's terms in grey levels, shape (n, 1)."""
    steps: Floats = np.ldexp(np.float32(1 / STEPS), rows[:, :1].astype(np.int32))
    return steps


def squared(vectors: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the squared length of each row."""
    return np.asarray(np.einsum("ij,ij->i", vectors, vectors))


def blocks(length: int, size: int) -> Iterator[slice]:
    """Yield consecutive slices of `size` that cover `length`."""
    return (slice(start, min(start + size, length)) for start in range(0, length, size))
