"""data/manifest/review.csv: the images whose labels `evaluate` reviews, with facts that only `manifest` knows.

These are the test images, the training images that no earlier model of the chain was trained on, and images left out as
near-duplicates that resemble an image with another label.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pandas.util import hash_array

from pipeline import paths
from pipeline.splits.duplicates.earlier import Sought, near_duplicates_again
from pipeline.splits.duplicates.grid import Sorted
from pipeline.splits.duplicates.near_duplicates import near_duplicates
from pipeline.splits.duplicates.points import Positions

REVIEW = paths.REVIEW.name
HEADER = ("id", "label", "md5", "split", "source", "like_id", "like_label", "like_source")
# In the column split, for an image that is in no manifest.
LEFT_OUT = "left out"
# Maximum number of training images that are reviewed. The first by id are as good as a random draw.
MOST = 50_000


def list_review(
    images: Callable[..., pa.Table],
    splits: npt.NDArray[np.str_],
    is_listed: npt.NDArray[np.bool_],
    is_seen: npt.NDArray[np.bool_],
    found: Sorted,
) -> pa.Table:
    """Return the rows of review.csv, sorted by id.

    `images` returns the named columns of all images, sorted by id; the other arguments are in the same order, shape
    (images,): `splits` holds the split of each image, `is_listed` whether a manifest lists it, `is_seen` whether the
    base was ever trained on it, and `found` the descriptors.
    """
    chosen = _reviewed(splits, is_listed, is_seen)
    like = other_label(chosen, images("label")["label"].to_pandas(), found, name="label")
    kept = (like >= 0) | is_listed[chosen]
    chosen, like = chosen[kept], like[kept]
    twins = pa.array(like, mask=like < 0)
    columns: dict[str, pa.ChunkedArray] = {}
    for name in ("id", "label", "md5", "source"):  # One column at a time, which bounds memory.
        column = images(name)[name]
        columns |= {name: column.take(pa.array(chosen)), f"like_{name}": column.take(twins).fill_null("")}
    places = np.where(is_listed[chosen], splits[chosen], LEFT_OUT)
    columns["split"] = pa.array(places.astype(object), pa.string())
    return pa.table({name: columns[name] for name in HEADER})


def other_label(chosen: Positions, labels: pd.Series[str], found: Sorted, *, name: str = "") -> Positions:
    """Return for each image at `chosen` the position of a near-duplicate with another label, or -1.

    The result has shape (len(chosen),). `found` holds the descriptors of all images. With a `name`, the result is
    remembered under it for the next search.
    """
    codes, names = pd.factorize(labels)
    search = Sought(chosen, np.arange(len(labels)), codes.astype(np.int32))
    if not name:
        return near_duplicates(found, *search[:3])
    return near_duplicates_again(name, found, search._replace(names=hash_array(names.to_numpy(object))))


def _reviewed(
    splits: npt.NDArray[np.str_], is_listed: npt.NDArray[np.bool_], is_seen: npt.NDArray[np.bool_]
) -> Positions:
    new = np.flatnonzero((splits == "train") & is_listed & ~is_seen)
    return np.union1d(new[:MOST], np.flatnonzero((splits == "test") | ~is_listed))
