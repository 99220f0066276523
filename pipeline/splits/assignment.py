"""Which split an image belongs to: a function of what it shows, so that no image that comes or goes moves another."""

from collections.abc import Iterable, Iterator
from typing import Literal

from pipeline.files import md5_of_bytes
from pipeline.params import Manifest

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


def split_of(key: str, params: Manifest) -> SplitName:
    """The split of the images whose perceptual key is `key`.

    Changing the share of one split moves no image between the two others.
    """
    position = int(md5_of_bytes(f"{params.seed}:{key}".encode())[:12], 16) / 2**48
    if position < params.split.test:
        return "test"
    # From the other end, so that val and test grow towards each other.
    return "val" if position >= 1 - params.split.val else "train"


def splits_of(keys: Iterable[str], params: Manifest) -> Iterator[SplitName]:
    """`split_of` each of `keys`."""
    return (split_of(key, params) for key in keys)
