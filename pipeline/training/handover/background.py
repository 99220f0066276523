"""Work that may never end, since a network is in it: done in threads that nobody need wait for."""

from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Condition, Thread
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T], *, grows: Path | None = None) -> T:
    """What `work` returns; as long as the file `grows` does, it may take longer.

    Raises:
        TimeoutError: it takes longer; it goes on then, and ends with the process at the latest.
        Exception: what `work` raises.
    """
    results: SimpleQueue[tuple[T] | Exception] = SimpleQueue()

    def run() -> None:
        try:
            results.put((work(),))
        except Exception as error:  # noqa: BLE001 (for whoever waits, if anyone still does)
            results.put(error)

    Thread(target=run, daemon=True).start()
    size = -1
    while True:
        try:
            result = results.get(timeout=seconds)
        except Empty:
            before, size = size, _size(grows)
            if size > before:
                continue
            raise TimeoutError(f"no answer in {seconds:.0f} seconds") from None
        if isinstance(result, Exception):
            raise result
        return result[0]


class Newest:
    """Works on the newest of what it is given; what has a newer one before its turn comes is left out."""

    def __init__(self, work: Callable[[Path], object]) -> None:
        """`work` raises nothing."""
        self._work = work
        self._next: Path | None = None
        self._is_at_work = False
        self._change = Condition()
        Thread(target=self._run, daemon=True).start()

    def give(self, path: Path) -> None:
        """Let it be worked on soon."""
        with self._change:
            self._next = path
            self._change.notify_all()

    def drop(self) -> None:
        """Leave out what has not begun."""
        with self._change:
            self._next = None

    def rests_within(self, seconds: float) -> bool:
        """Wait until nothing is left to do; whether that was in time."""
        with self._change:
            return self._change.wait_for(lambda: self._next is None and not self._is_at_work, timeout=seconds)

    def _run(self) -> None:
        while True:
            self._work(self._take())
            with self._change:
                self._is_at_work = False
                self._change.notify_all()

    def _take(self) -> Path:
        with self._change:
            while self._next is None:
                self._change.wait()
            path, self._next, self._is_at_work = self._next, None, True
            return path


def _size(path: Path | None) -> int:
    """In bytes; -1 where there is no file."""
    return path.stat().st_size if path is not None and path.exists() else -1
