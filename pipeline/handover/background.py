"""Work that may never end, since a network is in it: done in threads that nobody need wait for."""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Condition, Thread
from typing import Generic, TypeVar

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


class Background(Generic[T]):
    """Works on what it is given, in a thread, one after the other."""

    def __init__(self, work: Callable[[T], object], *, most: int | None = None) -> None:
        """`work` raises nothing. Of what waits for its turn, only the `most` newest are kept."""
        self._work = work
        self._waiting: deque[T] = deque(maxlen=most)
        self._is_at_work = False
        self._change = Condition()
        Thread(target=self._run, daemon=True).start()

    def give(self, item: T) -> None:
        """Let it be worked on soon."""
        with self._change:
            self._waiting.append(item)
            self._change.notify_all()

    def drop(self) -> None:
        """Leave out what has not begun."""
        with self._change:
            self._waiting.clear()

    def rests_within(self, seconds: float) -> bool:
        """Wait until nothing is left to do; whether that was in time."""
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
    """In bytes; -1 where there is no file."""
    return path.stat().st_size if path is not None and path.exists() else -1
