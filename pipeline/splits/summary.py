"""What `manifest` reports of the splits: one sentence, and warnings about groups."""

from collections import Counter

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import paths
from pipeline.params import Manifest
from pipeline.splits.assignment import SPLITS, Assignment
from pipeline.splits.leaks import LEAKS
from pipeline.splits.moves import MOVED
from pipeline.splits.weighting import UNTRAINED
from pipeline.text import counted


def counts(labels: "pd.Series[str]", split: npt.NDArray[np.str_], like: npt.NDArray[np.int64]) -> str:
    """Count the images of each split, the classes, and the images left out.

    All have shape (images,): `split` is the split that lists an image, and `like` the position of the near-duplicate
    that keeps an image out of its split, or -1.
    """
    listed = like < 0
    numbers = ", ".join(f"{np.count_nonzero((split == name) & listed):,} {name}" for name in SPLITS)
    classes = labels[listed].nunique()
    left_out, untrained = np.count_nonzero(~listed), np.count_nonzero(split == UNTRAINED)
    told = f", {left_out:,} left out as near-duplicates ({paths.MANIFEST / LEAKS})" if left_out else ""
    told += f", {untrained:,} of weight 0 kept from training" if untrained else ""
    return f"{numbers}, {counted(classes, 'class', 'classes')}{told}"


def grouping(drawn: Assignment, params: Manifest) -> str:
    """Count the groups, and the images without one."""
    if params.split.group is None:
        return ""
    names = Counter(drawn.groups)
    without = names.pop("", 0)
    if not names:
        what = f"no image has a group by manifest.split.group ({params.split.group}): each is drawn by itself"
        print(f"manifest: warning: {what}", flush=True)
    for name, share in (("val", params.split.val), ("test", params.split.test)):
        if share and name not in drawn.splits:
            what = f"no image is for {name}: {counted(len(names), 'group')} are few for a share of {share}"
            print(f"manifest: warning: {what}", flush=True)
    told = f" ({without:,} images without one)" if without else ""
    return f", {counted(len(names), 'group')}{told}"


def moves(moved: str) -> str:
    """Count the images that changed their split; `moved` is the content of moved.csv."""
    count = moved.count("\n") - 1
    return f", {count:,} moved to another split ({paths.MANIFEST / MOVED})" if count else ""


def news(changes: pa.Table | None, total: int) -> str:
    """Describe the `changes` since the base was trained; without a base all `total` training images are new."""
    if changes is None:
        return f"{total:,} new to training, 0 removed, 0 relabelled"
    count = {pair["values"]: pair["counts"] for pair in pc.value_counts(changes["change"]).to_pylist()}
    other = changes.filter(pc.is_in(changes["change"], pa.array(["relabelled", "reweighted"])))
    told = f" ({reweighted:,} of them with another weight)" if (reweighted := count.get("reweighted")) else ""
    told += f", {counted(new, 'new class', 'new classes')}" if (new := count.get("new class")) else ""
    figures = count.get("added", 0), count.get("removed", 0), pc.count_distinct(other["id"]).as_py()
    return "{:,} new to training, {:,} removed, {:,} relabelled".format(*figures) + told
