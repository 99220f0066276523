"""Work in other processes, its results in order: so little is under way at once that memory stays bounded.

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

# A thread of loky can give up a semaphore just as Python ends. The process that watches over them then frees it, as it
# should, but also warns, below what the command said.
sys.warnoptions.append("ignore:resource_tracker:UserWarning")

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batches(Generic[Item]):
    """The `items`, so many at a time; `size` may change on the way."""

    def __init__(self, items: Iterable[Item], size: int) -> None:
        self._items, self.size = iter(items), size

    def __iter__(self) -> Iterator[list[Item]]:
        while batch := list(islice(self._items, self.size)):
            yield batch


class Window(Generic[Item, Result]):
    """Each of `items` with what `job` makes of it in `pool`, in order, at most `size` of them under way."""

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
        """Do `item`, and hand it out before all others."""
        self._waiting.appendleft(self._submit(item))

    def move_to(self, pool: Executor) -> None:
        """Go on in `pool`, with what is under way, too."""
        self._pool = pool
        self._waiting = deque(self._submit(item) for item, _ in self._waiting)

    def _submit(self, item: Item) -> tuple[Item, Future[Result]]:
        try:
            # The pool starts them when it is given something to do; we end them.
            with nullcontext() if isinstance(self._pool, ThreadPoolExecutor) else deaf_children():
                return item, self._pool.submit(self._job, item)
        except BrokenExecutor as error:  # By an earlier item; whoever takes this one's result hears of it.
            failed: Future[Result] = Future()
            failed.set_exception(error)
            return item, failed


def in_order(job: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """`job` of each of `items`, in their order, in so many other processes, or none."""
    if not workers:
        yield from map(job, items)
        return
    from loky import get_reusable_executor

    with deaf_children():  # Where there were fewer, it starts more.
        pool = get_reusable_executor(workers)
    for _, result in Window(pool, job, items, size=2 * workers + 1):
        yield result.result()
