"""Remembers which images had no near-duplicate in the last run, so that only new images are compared with them.

The result equals that of a full search. The memory is a file of descriptor hashes in data/.progress; if it is missing
or damaged, all images are searched.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from pandas.util import hash_array

from pipeline import paths
from pipeline.ingestion.perceptual_hash import STEPS
from pipeline.splits.duplicates.grid import ABSOLUTE, RELATIVE, Cells, Kinds, Sorted
from pipeline.splits.duplicates.near_duplicates import near_duplicates, resembled
from pipeline.splits.duplicates.points import MEAN_WEIGHT, Positions

FOLDER = paths.PROGRESS / "near-duplicates"
# Raise VERSION when the search finds other pairs; CRITERION lists everything that decides which pairs it finds.
VERSION = 1
CRITERION = np.array([VERSION, ABSOLUTE, RELATIVE, MEAN_WEIGHT, STEPS])
# Below this number of images, a full search takes no time.
FEW = 2**15
# Number of hashes that fit into a core's cache.
CACHED = 2**15


class Earlier(NamedTuple):
    """The memory of one search: two sorted arrays of hashes of descriptors and kinds."""

    others: Cells
    """All images that were searched in."""
    alone: Cells
    """The images without a near-duplicate among them."""


class Sought(NamedTuple):
    """A search: positions of images and of candidates among the descriptors, and the kind of each descriptor."""

    images: Positions
    others: Positions
    kind: Kinds
    names: Cells | None = None
    """Hashes of the kinds' names, shape (kinds,), if images and others share kinds; None if each have one kind."""


def near_duplicates_again(name: str, found: Sorted, search: Sought) -> Positions:
    """As `near_duplicates`; remembers under `name`, for the next search, which images have none."""
    images, others, kind, names = search
    if len(found.rows) < FEW:
        return near_duplicates(found, images, others, kind)
    hashes = found.hashes
    if names is not None:
        hashes = hash_array(hashes ^ names[kind])
    mine, theirs, path = hashes[images], np.sort(hashes[others]), FOLDER / f"{name}.npz"
    searched = np.ones(len(images), np.bool_)
    if (earlier := _read(path)) is not None:
        alone = _is_among(mine, earlier.alone)
        new = theirs[~_is_among(theirs, earlier.others)]
        if len(new) < np.count_nonzero(alone):
            come = others[_is_among(hashes[others], new)]
            touched = np.sort(mine[alone][resembled(found, images[alone], come, kind)])
            searched = ~alone | _is_among(mine, touched)
    near: Positions = np.full(len(images), -1)
    near[searched] = near_duplicates(found, images[searched], others, kind)
    _write(path, Earlier(theirs, np.sort(mine[near < 0])))
    return near


def _is_among(values: Cells, known: Cells) -> npt.NDArray[np.bool_]:
    """Whether each of `values` is in the sorted array `known`."""
    if not len(known):
        return np.zeros(len(values), np.bool_)
    is_known = np.empty(len(values), np.bool_)
    # Looking up values in sorted order is four times faster, unless `known` fits into the cache.
    order = np.argsort(values) if len(known) > CACHED else slice(None)
    wanted = values[order]
    is_known[order] = known.take(np.searchsorted(known, wanted), mode="clip") == wanted
    return is_known


def _read(path: Path) -> Earlier | None:
    """Read the file `path`; None if it is missing, unreadable, or made with another criterion."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # np.load verifies checksums.
            is_same = np.array_equal(arrays["criterion"], CRITERION)
            return Earlier(arrays["others"], arrays["alone"]) if is_same else None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _write(path: Path, found: Earlier) -> None:
    """Write the file `path` atomically; without fsync, since checksums reveal a file that a power failure damaged."""
    aside = path.with_suffix(".new")
    with suppress(OSError):  # A full disk; the stage reports it when it writes its outputs.
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            np.savez(file, criterion=CRITERION, others=found.others, alone=found.alone)
        aside.replace(path)
