"""A grid over the space of descriptors, with larger cells for higher contrast; images sorted by cell and contrast."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pandas.util import hash_array

from pipeline.splits.duplicates.points import AXES, IMAGES, Floats, Points, Positions, Rows, blocks, cut

Cells = npt.NDArray[np.uint64]
Kinds = npt.NDArray[np.int32]

# The criterion: hundredths of the lower contrast, and hundredths of a grey level.
RELATIVE, ABSOLUTE = 7, 150
# The width of a cell as a share of the contrast's octave; the lowest octave.
WIDTH, LOWEST = 0.3, 4
# Tolerances for single-precision rounding: a factor of squared distances, and an offset of contrasts in grey levels.
SLACK, MARGIN = 1.001, 0.01
# A cell's hash is the sum of its coordinates times these factors, so a neighbour's hash is one addition away. A key
# keeps the upper 40 bits and holds the contrast in the lower 24; a table records which upper 24 bits occur at all.
FACTORS = np.random.default_rng(12345).integers(0, 2**63, AXES + 1, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
BELOW, TABLED = 24, 24
# After these numbers of axes, a table of occurring hash prefixes skips most cells, since most are empty.
DEPTHS = (6, 9, AXES)
# Rough number of candidates per search: if all searches need fewer than the grid has, coordinates are not precomputed.
LOOKED_AT = 2**8


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """Descriptors, and their order by cell, then contrast, then position."""

    rows: Rows
    order: Positions
    keys: Cells
    """Keys of cell and contrast, in this order."""
    occupied: dict[int, npt.NDArray[np.bool_]]
    """Tables of the upper bits that occur in hashes, by the number of axes in the hash."""

    @classmethod
    def of(cls, rows: Rows) -> Sorted:
        """Sort `rows`, shape (n, 64)."""
        occupied = {depth: np.zeros(2**TABLED, np.bool_) for depth in DEPTHS}
        keys = np.empty(len(rows), np.uint64)

        def fill(block: slice) -> None:
            points = Points.of(rows[block])
            octave = _octave(points.contrast)
            hashed = _corners(points.first, octave)[0]
            hashed[:, 0] += octave.astype(np.uint64) * FACTORS[-1]
            np.cumsum(hashed, axis=1, out=hashed)
            for depth, table in occupied.items():
                table[hashed[:, depth - 1] >> np.uint64(64 - TABLED)] = True
            keys[block] = _keys(hashed[:, -1], points.contrast)

        in_threads(fill, len(rows))
        order = np.argsort(keys, kind="stable")
        return cls(rows=rows, order=order, keys=keys[order], occupied=occupied)

    @cached_property
    def hashes(self) -> Cells:
        """A hash of each descriptor, shape (len(rows),); equal descriptors have equal hashes."""
        hashes = np.zeros(len(self.rows), np.uint64)

        def fill(block: slice) -> None:
            for part in np.ascontiguousarray(self.rows[block]).view(np.uint64).T:
                hashes[block] = hash_array(hashes[block] ^ part)

        in_threads(fill, len(self.rows))
        return hashes

    def among(self, chosen: Positions, kind: Kinds) -> tuple[Positions, Cells, Positions]:
        """Return the `chosen` positions in sorted order, their keys, and for each the place of its first equal.

        The first equal is the first descriptor in this order with the same bytes and kind; `kind` holds the kinds of
        all rows. Equal descriptors are searched for once: otherwise a thousand copies would make a million pairs.
        """
        is_chosen = np.zeros(len(self.rows), np.bool_)
        is_chosen[chosen] = True
        some = np.flatnonzero(is_chosen.take(self.order))
        order, keys = self.order[some], self.keys[some]
        return order, keys, _firsts(self.rows, kind, order, keys)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Distinct pairs of descriptor and kind, sorted by cell, then contrast, then position."""

    rows: Rows
    """All descriptors, also those that are not in the grid."""
    kind: Kinds
    """The kinds of all descriptors; only descriptors of different kinds count as near-duplicates."""
    order: Positions
    """Positions in `rows`, of the first of equal descriptors."""
    keys: Cells
    occupied: dict[int, npt.NDArray[np.bool_]]
    """Tables of upper bits of hashes, by the number of axes in the hash; may contain more than occur here."""
    first: Floats | None
    """The coordinates that the grid cuts, shape (len(order), AXES); None if only few are needed."""

    @classmethod
    def of(cls, found: Sorted, chosen: Positions, kind: Kinds, *, searches: int) -> Grid:
        """Build the grid of the descriptors at the positions `chosen`, for about `searches` searches."""
        order, keys, same = found.among(chosen, kind)
        distinct = np.flatnonzero(same == np.arange(len(same)))
        if len(distinct) < len(order):
            order, keys = order[distinct], keys[distinct]
        grid = cls(rows=found.rows, kind=kind, order=order, keys=keys, occupied=found.occupied, first=None)
        if searches * LOOKED_AT < len(order):
            return grid
        first = np.empty((len(order), AXES), np.float32)

        def fill(block: slice) -> None:
            first[block] = cut(found.rows[order[block]])

        in_threads(fill, len(order))
        return replace(grid, first=first)

    def coordinates(self, places: Positions) -> Floats:
        """Return the coordinates that the grid cuts, of the given `places` in the grid, shape (len(places), AXES)."""
        return cut(self.rows[self.order[places]]) if self.first is None else self.first.take(places, 0)

    def look_up(self, points: Points) -> tuple[Positions, Positions, Positions]:
        """Return spans of candidates: indices of `points`, and the first and last (exclusive) place in the grid.

        There is one span for each cell in reach that has candidates; near-duplicates lie in no other cell.
        """
        radius = radius_of(points.contrast)
        lowest, highest = (_octave(points.contrast + by) for by in (-radius - MARGIN, radius + MARGIN))
        several = []
        for more in range((highest - lowest).max() + 1):
            some = np.flatnonzero(lowest + more <= highest)
            position, cell = self._cells_around(points.first[some], lowest[some] + more, radius[some])
            several.append((some[position], cell))
        image, cell = (np.concatenate(parts) for parts in zip(*several, strict=True))
        contrast, radius = points.contrast.take(image), radius.take(image) + np.float32(MARGIN)
        # Sorted look-ups are faster, since neighbouring entries are still in the cache.
        order = np.argsort(cell)
        cell, contrast, radius = cell[order], contrast[order], radius[order]
        begin, last = np.searchsorted(self.keys, _keys(cell, contrast - radius)), _keys(cell, contrast + radius)
        some = np.flatnonzero((begin < len(self.keys)) & (self.keys.take(begin, mode="clip") <= last))
        end = np.searchsorted(self.keys, last[some], "right")
        again = np.argsort(order[some])
        return image[order[some][again]], begin[some][again], end[again]

    def _cells_around(self, first: Floats, octave: Positions, radius: Floats) -> tuple[Positions, Cells]:
        """Return pairs of point and cell: the octave's cells that intersect the ball of `radius` around each point.

        Axis by axis, the neighbours on both sides are added if the rest of the radius reaches them. A radius is less
        than a cell's width, so no further cells exist. Cells without images are left out.
        """
        terms, inside, width = _corners(first, octave)
        point, left = np.arange(len(first)), radius**2 * np.float32(SLACK)
        cell = octave.astype(np.uint64) * FACTORS[-1]
        for axis in range(AXES):
            cell += terms[point, axis]
            below = inside[point, axis]
            above = (width[point] - below) ** 2
            below **= 2
            down, up = below <= left, above <= left
            cell = np.concatenate([cell, cell[down] - FACTORS[axis], cell[up] + FACTORS[axis]])
            left = np.concatenate([left, left[down] - below[down], left[up] - above[up]])
            point = np.concatenate([point, point[down], point[up]])
            if axis + 1 in self.occupied:
                known = np.flatnonzero(self.occupied[axis + 1].take(cell >> np.uint64(64 - TABLED)))
                cell, left, point = cell[known], left[known], point[known]
        return point, cell


def _firsts(rows: Rows, kind: Kinds, order: Positions, keys: Cells) -> Positions:
    """Return for each of `order` the place in it of its first equal; equal descriptors have equal `keys`."""
    firsts = np.arange(len(order))
    is_same = keys[1:] == keys[:-1]
    several = np.flatnonzero(np.append(is_same, False) | np.append(False, is_same))
    if len(several):
        at = order[several]
        both = np.column_stack([rows[at], kind[at].view(np.int8).reshape(-1, 4)])
        texts = pa.FixedSizeBinaryArray.from_buffers(pa.binary(both.shape[1]), len(both), [None, pa.py_buffer(both)])
        code = texts.dictionary_encode().indices.to_numpy()
        first = np.empty(code.max() + 1, np.int64)
        first[code[::-1]] = several[::-1]  # Written in reverse, so that the first one remains.
        firsts[several] = first[code]
    return firsts


def in_threads(job: Callable[[slice], None], length: int) -> None:
    """Run `job` for each block of `length` images, on all cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        deque(pool.map(job, blocks(length, IMAGES)), 0)  # Re-raises errors of the threads.


def radius_of(contrast: Floats) -> Floats:
    """Return the largest distance of a near-duplicate of an image of the given `contrast`."""
    radius: Floats = np.maximum(np.float32(ABSOLUTE / 100), np.float32(RELATIVE / 100) * contrast)
    return radius


def _keys(cells: Cells, contrast: Floats) -> Cells:
    """Return the sort keys of the grid: cell first, contrast second."""
    fine = (contrast.astype(np.float64) * 2**13).clip(0, 2**BELOW - 1).astype(np.uint64)
    return (cells >> np.uint64(BELOW) << np.uint64(BELOW)) | fine


def _octave(contrast: Floats) -> Positions:
    octave: Positions = np.round(np.log2(np.maximum(contrast, 2**LOWEST))).astype(np.int64)
    return octave


def _corners(first: Floats, octave: Positions) -> tuple[Cells, Floats, Floats]:
    """Return each axis' term of the cell's hash, the distance from the cell's lower side, and the cell's width.

    The first two have shape (n, AXES), the width has shape (n,).
    """
    width: Floats = np.ldexp(np.float32(WIDTH), octave.astype(np.int32))
    # A flat image lies in the centre of its cell.
    scaled = first / width[:, None] + np.float32(0.5)
    corner = np.floor(scaled)
    terms: Cells = corner.astype(np.int64).view(np.uint64) * FACTORS[:-1]
    return terms, (scaled - corner) * width[:, None], width
