"""data/manifest/leaks.csv: val and test images that are left out because of a near-duplicate in training.

Most copies have the perceptual key of the original, and so its split. This module finds the others.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import paths
from pipeline.splits.duplicates.earlier import Sought, near_duplicates_again
from pipeline.splits.duplicates.grid import Sorted
from pipeline.splits.duplicates.points import Positions

LEAKS = paths.LEAKS.name


def find_leaks(split: npt.NDArray[np.str_], found: Sorted) -> Positions:
    """Return for each image the position of a near-duplicate that excludes it, or -1; shape (len(split),).

    A val image is excluded by a near-duplicate in train; a test image also by one in val that is not left out itself,
    since val images influence which model is kept. `found` holds the descriptors of all images.
    """
    like = np.full(len(split), -1)
    is_train = split == "train"
    _look("train", np.flatnonzero(~is_train), np.flatnonzero(is_train), found, like)
    val, test = (np.flatnonzero((split == name) & (like < 0)) for name in ("val", "test"))
    _look("val", test, val, found, like)
    return like


def _look(name: str, images: Positions, others: Positions, found: Sorted, like: Positions) -> None:
    """Write to `like`, for each of `images`, a near-duplicate among `others`, the images of the split `name`."""
    kind = np.zeros(len(like), np.int32)
    kind[others] = 1
    like[images] = near_duplicates_again(name, found, Sought(images, others, kind))


def list_leaks(images: pa.Table, split: npt.NDArray[np.str_], like: Positions) -> pa.Table:
    """Return the rows of leaks.csv, in the order of `images`, a table with the columns id, label and source."""
    left_out = np.flatnonzero(like >= 0)
    lines, originals = images.take(left_out), images.take(like[left_out])
    return pa.table(
        {
            "id": lines["id"],
            "label": lines["label"],
            "split": pa.array(split[left_out].astype(object), pa.string()),
            "source": lines["source"],
            "like": originals["id"],
            "like_source": originals["source"],
        }
    )
