"""What a stage hands back to the runner."""

from dataclasses import dataclass
from typing import NamedTuple, Self

from pipeline.text import counted


class ImageChange(NamedTuple):
    """How many images came and went."""

    new: int = 0
    removed: int = 0

    def then(self, later: Self) -> Self:
        """Both, one after the other."""
        return self._replace(new=self.new + later.new, removed=self.removed + later.removed)

    def __str__(self) -> str:
        return counted(self.new, "new image") + (f", {self.removed:,} removed" if self.removed else "")


@dataclass(frozen=True)
class Result:
    """What a stage did."""

    summary: str
    """The same in a sentence."""
    amount: int
    """How many images or steps it worked on, whatever takes the stage its time."""
    change: ImageChange | None = None
    """How data/images has changed, where it is ingest."""
