"""Who answers the signals that ask a process to end, for a while."""

import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

Handler = Callable[[int, FrameType | None], object]
# The exit status of a process that such a signal has ended.
INTERRUPTED = 130
# What a kill, and a terminal that is closed, send.
ENDS = (signal.SIGTERM, signal.SIGHUP)


def hush() -> None:
    """After an interrupt: what libraries left half-made is not worth a line each when it goes."""
    sys.unraisablehook = lambda _: None


@contextmanager
def handled(numbers: Iterable[signal.Signals], handler: Handler) -> Iterator[None]:
    """Let `handler` answer the signals `numbers`; afterwards those who answered them before do so again.

    Where `nohup` has set that a closed terminal is no reason to end, it stays so.
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
    """Let processes that are started meanwhile never hear ^C at the terminal; here it is heard afterwards."""
    if sys.version_info < (3, 12):
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # Started with the first of them, it would let all signals through again.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def stoppable(numbers: Iterable[signal.Signals] = ENDS) -> Iterator[None]:
    """Let the signals `numbers` end this process as ^C does, so that nothing is left behind."""
    with handled(numbers, _stop):
        yield


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
