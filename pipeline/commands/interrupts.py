"""Record termination signals instead of stopping at once, so that a command can shut down in an orderly way."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

from pipeline.signals import handled

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """The termination signals received so far."""

    def __init__(self) -> None:
        self.event = Event()
        """Set when the first signal arrives."""
        self.came: list[int] = []

    def note(self, number: int, _: FrameType | None) -> None:
        """Record the signal `number`; this is the signal handler."""
        self.came.append(number)
        self.event.set()


@contextmanager
def noting() -> Iterator[Interrupts]:
    """Within this context, record termination signals without interrupting anything."""
    interrupts = Interrupts()
    with handled(ASKING, interrupts.note):
        yield interrupts
