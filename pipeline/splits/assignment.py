"""Which split an image belongs to: a function of its group, or of what it shows where it has none.

So no image that comes or goes moves another.
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
# Images at a time.
ROWS = 2**16
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


class Assignment(NamedTuple):
    """Where images belong, each in its place."""

    splits: SplitNames
    """Of `SPLITS`, shape (images,)."""
    groups: list[str]
    """Empty for an image that has none, and so is a group of its own."""
    remark: str = ""
    """What people should know of it, after a comma."""


def split_of(key: str, params: Manifest, group: str = "") -> SplitName:
    """The split of the images of `group`; without one, of those whose perceptual key is `key`.

    Changing the share of one split moves no image between the two others.
    """
    return SPLITS[int(_numbers_of([key], [group], params)[0])]


def _numbers_of(keys: list[str], groups: list[str], params: Manifest) -> npt.NDArray[np.int8]:
    """Which of `SPLITS` that is, of many, each in its place."""
    texts = (
        f"{params.seed}:group:{group}" if group else f"{params.seed}:{key}"
        for key, group in zip(keys, groups, strict=True)
    )
    digests = np.frombuffer(b"".join(md5(text.encode()).digest() for text in texts), ">u8")[::2]
    position = (digests >> 16) / 2**48
    is_test = position < params.split.test
    # From the other end, so that val and test grow towards each other.
    is_val = position >= 1 - params.split.val
    return np.where(is_test, 2, is_val).astype(np.int8)


def columns_for(params: Params) -> list[str]:
    """The columns of the index that decide where images belong."""
    split = params.manifest.split
    if split.group is None and split.by == "hash":
        return ["key"]
    return ["key", "label", "source", "attributes", *([PATIENT] if split.group == PATIENT else [])]


def assign(images: pa.Table, params: Params) -> Assignment:
    """Where `images` belong, which has the columns of `columns_for`.

    Raises:
        ImagesError: a cell of labels.csv that decides it cannot be read, or a group is given two splits.
    """
    groups = groups_of(images, params)
    if params.manifest.split.by == "hash":
        return Assignment(_draw(images, groups, params.manifest), groups)
    by = _by_time if params.manifest.split.by == "time" else _as_given
    splits, remark = by(images, groups, params.manifest)
    return Assignment(splits, groups, remark)


def _draw(images: pa.Table, groups: list[str], params: Manifest) -> SplitNames:
    numbers, past = np.empty(len(images), np.int8), 0
    for batch in images.select(["key"]).to_batches(max_chunksize=ROWS):  # Digests take much more than numbers do.
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
    """Whether an image can have changed sides since the run that is `recorded` with its params.

    By what they show alone, with the same params, none can.
    """
    before = recorded.get("manifest", {})
    known = {"group": None, "by": "hash"} | before.get("split", {})
    is_same = (known, before.get("seed")) == (params.split.model_dump(), params.seed)
    return not is_same or params.split.group is not None or params.split.by != "hash"
