"""Near-duplicates among images, found by their descriptors (perceptual_hash.py) without comparing all with all.

Two images are near-duplicates if the distance between what they show, in grey levels, is at most 7 % of the lower
contrast of the two, or 1.5 where both have little. docs/benchmarks.md says what that finds and what it does not.

The search is exact. Space is cut into a grid, coarser for images of higher contrast. The others lie in a table sorted
by their cell, and by contrast within it. For each image only those cells are looked up that its near-duplicates can
lie in, and only the contrasts that these can have. This is multi-probe hashing (Lv et al., VLDB 2007), with a probe
for every cell in reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.ingestion.perceptual_hash import STEPS
from pipeline.splits.points import AXES, IMAGES, MEAN_WEIGHT, Floats, Points, Positions, Rows, blocks, squared

Cells = npt.NDArray[np.uint64]

# The criterion, in hundredths: of the lower contrast; of a grey level.
RELATIVE, ABSOLUTE = 7, 150
# The grid: the width of a cell as a share of the contrast's octave, the lowest octave.
WIDTH, LOWEST = 0.3, 4
# On squared distances and on contrasts in grey levels, for rounding in single precision.
SLACK, MARGIN = 1.001, 0.01
# Pairs at a time, which bounds memory; candidates to begin with, since a copy is found soon.
PAIRS, FEW = 2**18, 8
# A cell's hash is the sum of its coordinates times these, so its neighbour's is one addition away. Its upper 40 bits
# are kept, and in their place below is the contrast; a table says which upper 24 occur at all.
FACTORS = np.random.default_rng(12345).integers(0, 2**63, AXES + 1, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
BELOW, TABLED = 24, 24


def near_duplicates(images: Rows, others: Rows, kinds: tuple[Positions, Positions] | None = None) -> Positions:
    """For each of `images` the position of a near-duplicate in `others`, or −1; shape (len(images),).

    With `kinds`, numbers of both, only one of another kind counts.
    """
    if not len(images) or not len(others):
        return np.full(len(images), -1)
    kind, other_kind = kinds or (np.zeros(len(images), np.int64), np.ones(len(others), np.int64))
    first, code = _distinct(images, kind)
    first_other, _ = _distinct(others, other_kind)
    points = Points.of(images[first], kind[first])
    grid = _Grid.of(others[first_other], other_kind[first_other])
    found = np.full(len(first), -1)
    for block in blocks(len(first), IMAGES):
        _search(points, grid, np.arange(block.start, block.stop), found)
    return np.where(found < 0, -1, first_other[grid.order[found]])[code]


def are_near(images: Rows, others: Rows) -> npt.NDArray[np.bool_]:
    """Whether each of `images` and the one of `others` in the same place are near-duplicates.

    In hundredths of a step, all numbers are whole and below 2⁵³: nothing is rounded, on no machine.
    """
    terms, other_terms = (rows[:, 2:] * np.ldexp(1.0, rows[:, :1].astype(np.int32)) for rows in (images, others))
    means = images[:, 1].astype(np.float64) - others[:, 1]
    distance = 100**2 * squared(terms - other_terms) + (MEAN_WEIGHT * STEPS * means) ** 2
    contrast = np.minimum(squared(terms), squared(other_terms))
    near: npt.NDArray[np.bool_] = distance <= np.maximum((ABSOLUTE * STEPS) ** 2, RELATIVE**2 * contrast)
    return near


def _distinct(rows: Rows, kind: Positions) -> tuple[Positions, Positions]:
    """Where each distinct row of a kind is first, and for every row which of the distinct ones it is.

    Equal descriptors are searched for once: else a thousand copies would be a million pairs.
    """
    both = np.column_stack([rows, kind.astype(np.int32).view(np.int8).reshape(-1, 4)])
    keys = pa.FixedSizeBinaryArray.from_buffers(pa.binary(both.shape[1]), len(rows), [None, pa.py_buffer(both)])
    code = keys.dictionary_encode().indices.to_numpy().astype(np.int64)
    first = np.empty(code.max() + 1, np.int64)
    first[code[::-1]] = np.arange(len(rows))[::-1]  # The last to be written is the first.
    return first, code


@dataclass(frozen=True, kw_only=True)
class _Grid:
    """Points, sorted by cell and contrast."""

    points: Points
    order: Positions
    """Where they were before."""
    keys: Cells
    occupied: npt.NDArray[np.bool_]
    """Which upper bits the keys have: spares most searches, since most cells are empty."""

    @classmethod
    def of(cls, rows: Rows, kind: Positions) -> _Grid:
        points = Points.of(rows, kind)
        keys = np.empty(len(rows), np.uint64)
        for block in blocks(len(rows), IMAGES):
            contrast = points.contrast[block]
            cells = _cells(points.first[block], _octave(contrast))[0]
            keys[block] = _keys(cells, contrast)
        order = np.argsort(keys, kind="stable")
        occupied = np.zeros(2**TABLED, np.bool_)
        occupied[keys >> np.uint64(64 - TABLED)] = True
        return cls(points=points.at(order), order=order, keys=keys[order], occupied=occupied)

    def look_up(self, points: Points, image: Positions, cell: Cells) -> tuple[Positions, Positions, Positions]:
        """Which images have candidates, and from where to where in the grid, for each of `cell`, one of `image`'s."""
        known = self.occupied[cell >> np.uint64(64 - TABLED)]
        image, cell = image[known], cell[known]
        contrast = points.contrast.take(image)
        radius = _radius(contrast) + np.float32(MARGIN)
        begin = np.searchsorted(self.keys, _keys(cell, contrast - radius))
        end = np.searchsorted(self.keys, _keys(cell, contrast + radius), "right")
        some = begin < end
        return image[some], begin[some], end[some]


def _keys(cells: Cells, contrast: Floats) -> Cells:
    """What the grid is sorted by: cells first, contrasts second."""
    fine = (contrast.astype(np.float64) * 2**13).clip(0, 2**BELOW - 1).astype(np.uint64)
    return (cells >> np.uint64(BELOW) << np.uint64(BELOW)) | fine


def _radius(contrast: Floats) -> Floats:
    """The largest distance of a near-duplicate of an image of `contrast`."""
    radius: Floats = np.maximum(np.float32(ABSOLUTE / 100), np.float32(RELATIVE / 100) * contrast)
    return radius


def _octave(contrast: Floats) -> Positions:
    octave: Positions = np.round(np.log2(np.maximum(contrast, 2**LOWEST))).astype(np.int64)
    return octave


def _cells(first: Floats, octave: Positions) -> tuple[Cells, Floats, Floats]:
    """The hash of each point's cell, its distances from the cell's lower sides, shape (n, AXES), the cell's width."""
    width: Floats = np.ldexp(np.float32(WIDTH), octave.astype(np.int32))
    # A flat image lies in the middle of its cell.
    scaled = first / width[:, None] + np.float32(0.5)
    corner = np.floor(scaled)
    hashed: Cells = (corner.astype(np.int64).view(np.uint64) * FACTORS[:-1]).sum(1, dtype=np.uint64)
    hashed += octave.astype(np.uint64) * FACTORS[-1]
    return hashed, (scaled - corner) * width[:, None], width


def _search(points: Points, grid: _Grid, images: Positions, found: Positions) -> None:
    """Put into `found`, for those of `points` at `images`, where in the grid a near-duplicate is."""
    image, begin, end = grid.look_up(points, *_cells_in_reach(points, images))
    take = FEW
    while len(image):
        until = np.minimum(end, begin + take)
        for block in blocks(len(image), max(1, PAIRS // take)):
            _compare(points, grid, *_ranges(image[block], begin[block], until[block]), found)
        more = (until < end) & (found[image] < 0)
        image, begin, end = image[more], until[more], end[more]
        take *= FEW


def _cells_in_reach(points: Points, images: Positions) -> tuple[Positions, Cells]:
    """The cells that near-duplicates of `images` can lie in: an image and one of its cells in each place."""
    contrast = points.contrast[images]
    radius = _radius(contrast)
    lowest, highest = _octave(contrast - radius - MARGIN), _octave(contrast + radius + MARGIN)
    several = []
    for more in range((highest - lowest).max() + 1):
        some = lowest + more <= highest
        position, cell = _cells_around(points.first[images[some]], lowest[some] + more, radius[some])
        several.append((images[some][position], cell))
    image, cell = (np.concatenate(parts) for parts in zip(*several, strict=True))
    return image, cell


def _cells_around(first: Floats, octave: Positions, radius: Floats) -> tuple[Positions, Cells]:
    """The cells of the octave's grid that meet the ball of `radius` around each point: where the point is, the cell.

    An axis at a time, a cell is joined by its neighbours on both sides, if what the axes before left of the radius
    reaches them. A radius is less than a cell's width, so there are no others.
    """
    cell, inside, width = _cells(first, octave)
    point, left = np.arange(len(cell)), radius**2 * np.float32(SLACK)
    for axis in range(AXES):
        below = inside[point, axis]
        above = (width[point] - below) ** 2
        below **= 2
        down, up = below <= left, above <= left
        cell = np.concatenate([cell, cell[down] - FACTORS[axis], cell[up] + FACTORS[axis]])
        left = np.concatenate([left, left[down] - below[down], left[up] - above[up]])
        point = np.concatenate([point, point[down], point[up]])
    return point, cell


def _ranges(image: Positions, begin: Positions, end: Positions) -> tuple[Positions, Positions]:
    """Each image with each position from its `begin` to its `end`."""
    count = end - begin
    past = np.cumsum(count)
    return np.repeat(image, count), np.arange(past[-1]) + np.repeat(end - past, count)


def _compare(points: Points, grid: _Grid, image: Positions, other: Positions, found: Positions) -> None:
    """Put into `found` which pairs of a point and one of the grid are near-duplicates."""
    limit = _radius(points.contrast.take(image)) ** 2 * np.float32(SLACK)
    distance: Any = np.float32(0)
    # Most pairs are told apart by their first coordinates.
    for some, others in ((points.first, grid.points.first), (points.second, grid.points.second)):
        distance = distance + squared(some.take(image, 0) - others.take(other, 0))
        close = distance <= limit
        image, other, distance, limit = image[close], other[close], distance[close], limit[close]
    near = are_near(points.rows.take(image, 0), grid.points.rows.take(other, 0))
    near &= points.kind.take(image) != grid.points.kind.take(other)
    found[image[near]] = other[near]
