"""Changes in data/raw, data/images and the code since the stages last ran."""

from typing import NamedTuple

from pipeline.commands.status.pending import Pending
from pipeline.commands.status.raw_changes import RawChanges


class Changes(NamedTuple):
    """What has changed since the stages last ran."""

    raw: RawChanges | None
    pending: Pending | None
    again: int
    """Number of images that ingest will decode again."""

    @property
    def held_out(self) -> frozenset[str]:
        """The ids of images that were used for training and will be held out."""
        return frozenset().union(*(one.held_out for one in (self.raw, self.pending) if one is not None))

    @property
    def classes(self) -> str:
        """How classes changed since the last training, in half a sentence.

        The longer of two texts: about data/images, which ingest has written, and about data/raw.
        """
        return max((found.classes for found in (self.pending, self.raw) if found is not None), key=len, default="")

    def change_training(self, *, unknown: bool) -> bool:
        """Whether training gets other images than the last time; `unknown` is returned if no images were inspected."""
        if self.again or (self.pending is not None and self.pending.changes_training):
            return True
        if self.raw is not None:
            return self.raw.changes_training != "no"
        return unknown and self.pending is None
