"""Which images had no near-duplicate when the last run searched for one: only what came since is compared with them.

What is found is what a search for all finds. It is kept in data/.progress, as hashes of descriptors; without it, or
where it is damaged, all are searched for.
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
# To be raised whenever other pairs are near-duplicates; and what decides on them.
VERSION = 1
CRITERION = np.array([VERSION, ABSOLUTE, RELATIVE, MEAN_WEIGHT, STEPS])
# Below this, searching takes no time.
FEW = 2**15
# So many hashes fit into a core's cache.
CACHED = 2**15


class Earlier(NamedTuple):
    """What a run has found out; both are sorted hashes of descriptors and kinds."""

    others: Cells
    """Of all that was searched in."""
    alone: Cells
    """Of the images without a near-duplicate in it."""


class Sought(NamedTuple):
    """What is searched for: places in what is found, and a number of its kind for each place."""

    images: Positions
    others: Positions
    kind: Kinds
    names: Cells | None = None
    """Where images and others are of the same kinds: hashes of their names, shape (kinds,). Else each are of one."""


def near_duplicates_again(name: str, found: Sorted, search: Sought) -> Positions:
    """As `near_duplicates`, and remembers for the next search of this `name` which images have none."""
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
    """Whether each of `values` is among those that are `known`, which are sorted."""
    if not len(known):
        return np.zeros(len(values), np.bool_)
    is_known = np.empty(len(values), np.bool_)
    # Sorted needles are found four times faster, unless all of `known` fits into a cache.
    order = np.argsort(values) if len(known) > CACHED else slice(None)
    wanted = values[order]
    is_known[order] = known.take(np.searchsorted(known, wanted), mode="clip") == wanted
    return is_known


def _read(path: Path) -> Earlier | None:
    """What the file `path` says; None where it is of other rules, cannot be read, or is not there."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # Which has checksums.
            is_same = np.array_equal(arrays["criterion"], CRITERION)
            return Earlier(arrays["others"], arrays["alone"]) if is_same else None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _write(path: Path, found: Earlier) -> None:
    """Put it into the file `path`, in one step; without syncing, since checksums tell what a power failure leaves."""
    aside = path.with_suffix(".new")
    with suppress(OSError):  # A full disk, which whoever writes outputs will tell.
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            np.savez(file, criterion=CRITERION, others=found.others, alone=found.alone)
        aside.replace(path)
