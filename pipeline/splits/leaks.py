"""data/manifest/leaks.csv: the val and test images that are left out, since training knows a near-duplicate of each.

Most copies have their original's perceptual key, and with it its split. This is about the others.
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
    """For each image the position of one that it must not be held out with, or −1; shape (len(split),).

    That is a near-duplicate in train; for a test image also one in val, as far as that is not left out itself: the
    images in val have a say in which model is kept. `found` are the descriptors of all.
    """
    like = np.full(len(split), -1)
    is_train = split == "train"
    _look("train", np.flatnonzero(~is_train), np.flatnonzero(is_train), found, like)
    val, test = (np.flatnonzero((split == name) & (like < 0)) for name in ("val", "test"))
    _look("val", test, val, found, like)
    return like


def _look(name: str, images: Positions, others: Positions, found: Sorted, like: Positions) -> None:
    """Put into `like`, at `images`, which of `others`, the split of this `name`, each of them resembles."""
    kind = np.zeros(len(like), np.int32)
    kind[others] = 1
    like[images] = near_duplicates_again(name, found, Sought(images, others, kind))


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
