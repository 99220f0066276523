"""Temporary handlers for the signals that ask a process to end."""

import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

Handler = Callable[[int, FrameType | None], object]
# The exit status of an interrupted process.
INTERRUPTED = 130
# The signals that `kill` and a closed terminal send.
ENDS = (signal.SIGTERM, signal.SIGHUP)


def hush() -> None:
    """Silence errors of destructors after an interrupt, when libraries clean up unfinished objects."""
    sys.unraisablehook = lambda _: None


@contextmanager
def handled(numbers: Iterable[signal.Signals], handler: Handler) -> Iterator[None]:
    """Handle the signals `numbers` by `handler`, and restore the earlier handlers afterwards.

    If `nohup` has made the process ignore SIGHUP, it continues to ignore it.
    """
    is_detached = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    taken = [number for number in numbers if number != signal.SIGHUP or not is_detached]
    before = {number: signal.signal(number, handler) for number in taken}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def deaf_children() -> Iterator[None]:
    """Start processes that never receive ^C at the terminal. This process receives it afterwards."""
    if sys.version_info < (3, 12):
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # Starting it later would unblock all signals.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def stoppable(numbers: Iterable[signal.Signals] = ENDS) -> Iterator[None]:
    """Let the signals `numbers` end this process as ^C does, so that it cleans up."""
    with handled(numbers, _stop):
        yield


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
