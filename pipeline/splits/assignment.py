"""Which split an image belongs to: a function of its group, or of what it shows where it has none.

So no image that comes or goes moves another.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from pipeline.files import md5_of_bytes
from pipeline.params import Manifest, Params
from pipeline.splits.groups import groups_of

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


class Assignment(NamedTuple):
    """Where images belong, each in its place."""

    splits: list[SplitName]
    groups: list[str]
    """Empty for an image that has none, and so is a group of its own."""


def split_of(key: str, params: Manifest, group: str = "") -> SplitName:
    """The split of the images of `group`; without one, of those whose perceptual key is `key`.

    Changing the share of one split moves no image between the two others.
    """
    text = f"{params.seed}:group:{group}" if group else f"{params.seed}:{key}"
    position = int(md5_of_bytes(text.encode())[:12], 16) / 2**48
    if position < params.split.test:
        return "test"
    # From the other end, so that val and test grow towards each other.
    return "val" if position >= 1 - params.split.val else "train"


def columns_for(params: Params) -> list[str]:
    """The columns of the index that decide where images belong."""
    return ["key"] if params.manifest.split.group is None else ["key", "source", "attributes"]


def assign(images: pa.Table, params: Params) -> Assignment:
    """Where `images` belong, which has the columns of `columns_for`."""
    groups = groups_of(images, params)
    keys = images["key"].to_pylist()
    return Assignment([split_of(key, params.manifest, group) for key, group in zip(keys, groups, strict=True)], groups)


def may_move(recorded: Mapping[str, Any], params: Manifest) -> bool:
    """Whether an image can have changed sides since the run that is `recorded` with its params.

    By what they show alone, with the same params, none can.
    """
    before = recorded.get("manifest", {})
    known = {"group": None} | before.get("split", {})
    return (known, before.get("seed")) != (params.split.model_dump(), params.seed) or params.split.group is not None
