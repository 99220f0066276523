"""Assigns each image to a split, by its group or, without a group, by its perceptual key.

The split of an image depends on no other image, so adding or removing images moves none.
"""

from collections.abc import Mapping
from hashlib import md5
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.params import Manifest, Params
from pipeline.splits.dates import dates_of, newest
from pipeline.splits.given import given_splits
from pipeline.splits.groups import PATIENT, groups_of
from pipeline.text import counted

SplitName = Literal["train", "val", "test"]
SplitNames = npt.NDArray[np.str_]
# Images per block, which bounds memory.
ROWS = 2**16
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


class Assignment(NamedTuple):
    """The splits of images; lists and arrays are in the order of the images."""

    splits: SplitNames
    """Names of `SPLITS`, shape (images,)."""
    groups: list[str]
    """Group names; an image with an empty name has no group, and is drawn by itself."""
    remark: str = ""
    """A remark for the stage's summary; begins with a comma, or is empty."""


def split_of(key: str, params: Manifest, group: str = "") -> SplitName:
    """Return the split of all images of `group`, or, without a group, of all images with the perceptual key `key`.

    Changing the share of one split moves no image between the two others.
    """
    return SPLITS[int(_numbers_of([key], [group], params)[0])]


def _numbers_of(keys: list[str], groups: list[str], params: Manifest) -> npt.NDArray[np.int8]:
    """Return the split of each pair of key and group as its position in `SPLITS`."""
    texts = (
        f"{params.seed}:group:{group}" if group else f"{params.seed}:{key}"
        for key, group in zip(keys, groups, strict=True)
    )
    digests = np.frombuffer(b"".join(md5(text.encode()).digest() for text in texts), ">u8")[::2]
    position = (digests >> 16) / 2**48
    is_test = position < params.split.test
    # val grows from the upper end and test from the lower one, so changing one share moves no image into the other.
    is_val = position >= 1 - params.split.val
    return np.where(is_test, 2, is_val).astype(np.int8)


def columns_for(params: Params) -> list[str]:
    """Return the columns of the index that `assign` needs."""
    split = params.manifest.split
    if split.group is None and split.by == "hash":
        return ["key"]
    return ["key", "label", "source", "attributes", *([PATIENT] if split.group == PATIENT else [])]


def assign(images: pa.Table, params: Params) -> Assignment:
    """Assign `images`, a table with the columns of `columns_for`, to splits.

    Raises:
        ImagesError: a date or split in labels.csv is not valid, or a group is given two splits.
    """
    groups = groups_of(images, params)
    if params.manifest.split.by == "hash":
        return Assignment(_draw(images, groups, params.manifest), groups)
    by = _by_time if params.manifest.split.by == "time" else _as_given
    splits, remark = by(images, groups, params.manifest)
    return Assignment(splits, groups, remark)


def _draw(images: pa.Table, groups: list[str], params: Manifest) -> SplitNames:
    numbers, past = np.empty(len(images), np.int8), 0
    for batch in images.select(["key"]).to_batches(max_chunksize=ROWS):  # Digests take much more memory than numbers.
        block = slice(past, past := past + len(batch))
        numbers[block] = _numbers_of(batch["key"].to_pylist(), groups[block], params)
    return np.array(SPLITS)[numbers]


def _as_given(images: pa.Table, groups: list[str], params: Manifest) -> tuple[SplitNames, str]:
    given = np.array(given_splits(images, groups, by_column=params.split.by == "column"), np.str_)
    splits = np.where(given != "", given, _draw(images, groups, params))
    without = int(np.count_nonzero(given == ""))
    return splits, f", {counted(without, 'image')} without a given split, drawn by hash" if without else ""


def _by_time(images: pa.Table, groups: list[str], params: Manifest) -> tuple[SplitNames, str]:
    dates = dates_of(images)
    is_newest, first = newest(dates, groups, params.split.test)
    drawn = _draw(images, groups, params.model_copy(update={"split": params.split.model_copy(update={"test": 0.0})}))
    splits = np.where(is_newest, "test", drawn)
    without = dates.count("")
    told = f", {counted(without, 'image')} without a date, which cannot be among the newest" if without else ""
    return splits, (f", test from {first} on" if first else ", no test") + told


def may_move(recorded: Mapping[str, Any], params: Manifest) -> bool:
    """Whether an image can have changed its split since the run that is `recorded` with its params.

    Without groups and with splits by hash, no image changes its split unless the params change.
    """
    before = recorded.get("manifest", {})
    known = {"group": None, "by": "hash"} | before.get("split", {})
    is_same = (known, before.get("seed")) == (params.split.model_dump(), params.seed)
    return not is_same or params.split.group is not None or params.split.by != "hash"
