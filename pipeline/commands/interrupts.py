"""Signals that ask to end: noted, so that what is under way can be ended in order."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

from pipeline.signals import handled

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """The signals that have come."""

    def __init__(self) -> None:
        self.event = Event()
        """Set by the first of them."""
        self.came: list[int] = []

    def note(self, number: int, _: FrameType | None) -> None:
        """Handle a signal."""
        self.came.append(number)
        self.event.set()


@contextmanager
def noting() -> Iterator[Interrupts]:
    """From here on signals that ask to end are noted, and interrupt nothing."""
    interrupts = Interrupts()
    with handled(ASKING, interrupts.note):
        yield interrupts
