"""Network operations, which may hang, in background threads with timeouts."""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Condition, Thread
from typing import Generic, TypeVar

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T], *, grows: Path | None = None) -> T:
    """Return the result of `work`, which may take longer than `seconds` while the file `grows` is growing.

    Raises:
        TimeoutError: `work` takes longer. Its thread continues, and ends with the process at the latest.
        Exception: what `work` raises.
    """
    results: SimpleQueue[tuple[T] | Exception] = SimpleQueue()

    def run() -> None:
        try:
            results.put((work(),))
        except Exception as error:  # noqa: BLE001 (raised again below)
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


class Background(Generic[T]):
    """A thread that processes items one after the other."""

    def __init__(self, work: Callable[[T], object], *, most: int | None = None) -> None:
        """`work` must not raise. Only the `most` newest waiting items are kept."""
        self._work = work
        self._waiting: deque[T] = deque(maxlen=most)
        self._is_at_work = False
        self._change = Condition()
        Thread(target=self._run, daemon=True).start()

    def give(self, item: T) -> None:
        """Queue `item`."""
        with self._change:
            self._waiting.append(item)
            self._change.notify_all()

    def drop(self) -> None:
        """Remove all waiting items."""
        with self._change:
            self._waiting.clear()

    def rests_within(self, seconds: float) -> bool:
        """Wait until all items are processed; returns False if that takes longer than `seconds`."""
        with self._change:
            return self._change.wait_for(lambda: not self._waiting and not self._is_at_work, timeout=seconds)

    def _run(self) -> None:
        while True:
            self._work(self._take())
            with self._change:
                self._is_at_work = False
                self._change.notify_all()

    def _take(self) -> T:
        with self._change:
            while not self._waiting:
                self._change.wait()
            self._is_at_work = True
            return self._waiting.popleft()


def _size(path: Path | None) -> int:
    """Return the size of `path` in bytes, -1 if there is no such file."""
    return path.stat().st_size if path is not None and path.exists() else -1
