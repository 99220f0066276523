"""Descriptors (perceptual_hash.py) as points in space, a coordinate a column, for the search of near-duplicates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.ingestion.perceptual_hash import STEPS

Rows = npt.NDArray[np.int8]  # descriptors, shape (n, 64)
Positions = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

# How much the mean counts against a term, in hundredths; coordinates that the grid cuts; images at a time.
MEAN_WEIGHT, AXES, IMAGES = 30, 12, 4096


@dataclass(frozen=True, kw_only=True)
class Points:
    """Descriptors as points, in grey levels: the weighted mean, then the cosine terms."""

    rows: Rows
    kind: Positions
    """Only points of two kinds are near-duplicates."""
    first: Floats
    """The coordinates that the grid cuts, shape (n, AXES)."""
    second: Floats
    """As many that follow."""
    contrast: Floats

    @classmethod
    def of(cls, rows: Rows, kind: Positions) -> Points:
        """Those of `rows`."""
        first, second = (np.empty((len(rows), AXES), np.float32) for _ in range(2))
        contrast = np.empty(len(rows), np.float32)
        for block in blocks(len(rows), IMAGES):
            coordinates = rows[block, 1:].astype(np.float32)
            coordinates[:, 0] *= MEAN_WEIGHT / 100
            coordinates[:, 1:] *= np.ldexp(np.float32(1 / STEPS), rows[block, :1].astype(np.int32))
            first[block], second[block] = coordinates[:, :AXES], coordinates[:, AXES : 2 * AXES]
            contrast[block] = np.sqrt(squared(coordinates[:, 1:]))
        return cls(rows=rows, kind=kind, first=first, second=second, contrast=contrast)

    def at(self, positions: Positions) -> Points:
        """The ones at `positions`."""
        return Points(
            rows=self.rows.take(positions, 0),
            kind=self.kind.take(positions),
            first=self.first.take(positions, 0),
            second=self.second.take(positions, 0),
            contrast=self.contrast.take(positions),
        )


def squared(vectors: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The squared length of each row."""
    return np.asarray(np.einsum("ij,ij->i", vectors, vectors))


def blocks(length: int, size: int) -> Iterator[slice]:
    """Slices of `size` that make up `length`."""
    return (slice(start, min(start + size, length)) for start in range(0, length, size))
