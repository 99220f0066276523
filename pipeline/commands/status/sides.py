"""Which images change sides with what has changed in data/raw: the splits of before and of now."""

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
    """What the images that change have to do with splits."""

    splits: dict[str, int]
    """How many of them belong to each, where that is known; to the old and to the new one, where they switch."""
    switched: int
    """Images that were there before, and belong to another split now."""
    held_out: list[str]
    """Those of them that were for training."""

    @classmethod
    def between(cls, changed: Iterable[str], before: Splits, now: Splits) -> Self:
        """What becomes of the images that are `changed`, and of those whose split is another one now."""
        switched = {one for one in before.keys() & now.keys() if before[one] != now[one]}
        ends = [now.get(one) or before[one] for one in changed if one in now or one in before]
        both = [split for one in switched for split in (before[one], now[one])]
        held_out = sorted(one for one in switched if before[one] == "train")
        return cls(dict(Counter(ends + both)), len(switched), held_out)


def having_a_say(images: pa.Table, interest: set[str], params: Params) -> pa.Table:
    """The `images` that decide on the splits of those of `interest`: themselves, or all there are."""
    if params.manifest.split.by != "hash":
        return images
    return images.filter(pc.is_in(images["id"], parquet.strings(interest)))


def splits_of(images: pa.Table, keys: Mapping[str, str], params: Params) -> Splits:
    """The split of each of `images` whose key is among `keys`, which are by id."""
    wanted = images.filter(pc.is_in(images["id"], parquet.strings(keys)))
    ids = wanted["id"].to_pylist()
    rows = wanted.select(["label", "source", "attributes"]).append_column(
        "key", parquet.strings(keys[one] for one in ids)
    )
    return dict(zip(ids, assign(rows, params).splits.tolist(), strict=True))
