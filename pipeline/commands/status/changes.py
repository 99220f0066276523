"""What is new to the stages since they last ran, from data/raw, data/images and the code."""

from typing import NamedTuple

from pipeline.commands.status.pending import Pending
from pipeline.commands.status.raw_changes import RawChanges


class Changes(NamedTuple):
    """What is new to stages."""

    raw: RawChanges | None
    pending: Pending | None
    again: int
    """How many images are decoded again."""

    @property
    def held_out(self) -> frozenset[str]:
        """The ids of the images that were for training, and will be held out."""
        return frozenset().union(*(one.held_out for one in (self.raw, self.pending) if one is not None))

    @property
    def classes(self) -> str:
        """What became of classes since the last training, in images that ingest has taken in, or in all of them."""
        return max((found.classes for found in (self.pending, self.raw) if found is not None), key=len, default="")

    def change_training(self, *, unknown: bool) -> bool:
        """Whether training gets other images than the last time; `unknown` is the answer where nobody looked."""
        if self.again or (self.pending is not None and self.pending.changes_training):
            return True
        if self.raw is not None:
            return self.raw.changes_training != "no"
        return unknown and self.pending is None
