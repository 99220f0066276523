"""Find the images that move to another split because of changes in data/raw."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet
from pipeline.params import Params
from pipeline.splits.assignment import SplitName, assign

# The split of each image, by id.
Splits = Mapping[str, SplitName]


class Sides(NamedTuple):
    """The splits of changed images, and images whose split changed."""

    splits: dict[str, int]
    """Number of changed images by split, where known; an image that moves counts in its old and its new split."""
    switched: int
    """Number of known images that move to another split."""
    held_out: list[str]
    """The ids of the images that move from train to another split."""

    @classmethod
    def between(cls, changed: Iterable[str], before: Splits, now: Splits) -> Self:
        """Count the splits of the `changed` images, and find the images whose split differs in `before` and `now`."""
        switched = {one for one in before.keys() & now.keys() if before[one] != now[one]}
        ends = [now.get(one) or before[one] for one in changed if one in now or one in before]
        both = [split for one in switched for split in (before[one], now[one])]
        held_out = sorted(one for one in switched if before[one] == "train")
        return cls(dict(Counter(ends + both)), len(switched), held_out)


def having_a_say(images: pa.Table, interest: set[str], params: Params) -> pa.Table:
    """Return the `images` that determine the splits of those of `interest`: only these, or all `images`."""
    if params.manifest.split.by != "hash":
        return images
    return images.filter(pc.is_in(images["id"], parquet.strings(interest)))


def splits_of(images: pa.Table, keys: Mapping[str, str], params: Params) -> Splits:
    """Return the split of each of `images` whose id is in `keys`, which maps ids to perceptual keys."""
    wanted = images.filter(pc.is_in(images["id"], parquet.strings(keys)))
    ids = wanted["id"].to_pylist()
    rows = wanted.select(["label", "source", "attributes"]).append_column(
        "key", parquet.strings(keys[one] for one in ids)
    )
    return dict(zip(ids, assign(rows, params).splits.tolist(), strict=True))
