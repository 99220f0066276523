"""What a stage hands back to the runner."""

from typing import NamedTuple


class Result(NamedTuple):
    """What a stage did."""

    summary: str
    """The same in a sentence."""
    amount: int
    """How many images or steps it worked on, whatever takes the stage its time."""
