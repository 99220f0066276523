"""data/manifest/leaks.csv: the val and test images that are left out, since training knows a near-duplicate of each.

Most copies have their original's perceptual key, and with it its split. This is about the others.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import paths
from pipeline.splits.duplicates.near_duplicates import near_duplicates
from pipeline.splits.duplicates.points import Positions, Rows

LEAKS = paths.LEAKS.name


def find_leaks(split: npt.NDArray[np.str_], descriptors: Rows) -> Positions:
    """For each image the position of one that it must not be held out with, or −1; shape (len(split),).

    That is a near-duplicate in train; for a test image also one in val, as far as that is not left out itself: the
    images in val have a say in which model is kept.
    """
    like = np.full(len(split), -1)
    _look(np.flatnonzero(split != "train"), np.flatnonzero(split == "train"), descriptors, like)
    val, test = (np.flatnonzero((split == name) & (like < 0)) for name in ("val", "test"))
    _look(test, val, descriptors, like)
    return like


def _look(images: Positions, others: Positions, descriptors: Rows, like: Positions) -> None:
    """Put into `like`, at `images`, which of `others` each of them resembles."""
    near = near_duplicates(descriptors[images], descriptors[others])
    found = near >= 0
    like[images[found]] = others[near[found]]


def list_leaks(images: pa.Table, split: npt.NDArray[np.str_], like: Positions) -> pa.Table:
    """The lines of leaks.csv, in the order of `images`, which has the columns id, label and source."""
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
