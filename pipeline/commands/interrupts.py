"""Signals that ask to end: noted, so that what is under way can be ended in order."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import NoReturn

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
    """From here on signals that ask to end are noted, and interrupt nothing.

    Where `nohup` has set that a closed terminal is no reason to end, it stays so.
    """
    interrupts = Interrupts()
    is_detached = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    asking = [number for number in ASKING if number != signal.SIGHUP or not is_detached]
    before = {number: signal.signal(number, interrupts.note) for number in asking}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# What a kill, and a terminal that is closed, send.
ENDS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stoppable() -> Iterator[None]:
    """Let what else ends this process do so as ^C does, so that nothing is left behind."""
    before = {number: signal.getsignal(number) for number in ENDS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # As `nohup` wants it.
            signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
