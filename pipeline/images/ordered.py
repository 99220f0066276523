"""Parallel work with results in order, and with a limit on the items in progress, so that memory stays bounded.

joblib's generators have no such limit.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import nullcontext
from itertools import islice
from typing import Generic, TypeVar

from pipeline.signals import deaf_children

# A thread of loky can release a semaphore just as Python exits. The resource tracker then frees it correctly, but also
# prints a warning below the command's output.
sys.warnoptions.append("ignore:resource_tracker:UserWarning")

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batches(Generic[Item]):
    """Splits `items` into lists of `size` items. `size` may be changed during iteration."""

    def __init__(self, items: Iterable[Item], size: int) -> None:
        self._items, self.size = iter(items), size

    def __iter__(self) -> Iterator[list[Item]]:
        while batch := list(islice(self._items, self.size)):
            yield batch


class Window(Generic[Item, Result]):
    """Yields each of `items` in order with the future of `job(item)` in `pool`; at most `size` are in progress."""

    def __init__(self, pool: Executor, job: Callable[[Item], Result], items: Iterable[Item], *, size: int) -> None:
        self._pool, self._job, self._items, self._size = pool, job, iter(items), size
        self._waiting: deque[tuple[Item, Future[Result]]] = deque()

    def __iter__(self) -> Iterator[tuple[Item, Future[Result]]]:
        while True:
            self._waiting.extend(map(self._submit, islice(self._items, max(0, self._size - len(self._waiting)))))
            if not self._waiting:
                return
            yield self._waiting.popleft()

    def put_first(self, item: Item) -> None:
        """Submit `item`, and yield it before all others."""
        self._waiting.appendleft(self._submit(item))

    def move_to(self, pool: Executor) -> None:
        """Continue in `pool`; items in progress are submitted again there."""
        self._pool = pool
        self._waiting = deque(self._submit(item) for item, _ in self._waiting)

    def _submit(self, item: Item) -> tuple[Item, Future[Result]]:
        try:
            # Submitting can start processes. They must ignore ^C, since this process ends them.
            with nullcontext() if isinstance(self._pool, ThreadPoolExecutor) else deaf_children():
                return item, self._pool.submit(self._job, item)
        except BrokenExecutor as error:  # An earlier item broke the pool; this item's future raises the error.
            failed: Future[Result] = Future()
            failed.set_exception(error)
            return item, failed


def in_order(job: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yield `job(item)` for each of `items`, in order, in `workers` other processes; in this process if that is 0."""
    if not workers:
        yield from map(job, items)
        return
    from loky import get_reusable_executor

    with deaf_children():  # It may start further processes.
        pool = get_reusable_executor(workers)
    for _, result in Window(pool, job, items, size=2 * workers + 1):
        yield result.result()
