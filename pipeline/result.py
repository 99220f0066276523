"""The result that a stage returns to the runner."""

from dataclasses import dataclass
from typing import NamedTuple, Self

from pipeline.text import counted


class ImageChange(NamedTuple):
    """The numbers of new and removed images."""

    new: int = 0
    removed: int = 0

    def then(self, later: Self) -> Self:
        """Return the sum of this change and a later one."""
        return self._replace(new=self.new + later.new, removed=self.removed + later.removed)

    def __str__(self) -> str:
        return counted(self.new, "new image") + (f", {self.removed:,} removed" if self.removed else "")


@dataclass(frozen=True)
class Result:
    """The work that a stage did."""

    summary: str
    """The work in a sentence."""
    amount: int
    """The number of images or steps that were processed: the unit that determines the stage's duration."""
    change: ImageChange | None = None
    """The change of data/images, for ingest."""
