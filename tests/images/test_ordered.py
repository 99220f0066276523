"""Work in other processes is returned in order, a limited number of items ahead, also if a process dies."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor

import pytest
from loky import ProcessPoolExecutor

from pipeline.images.ordered import Batches, Window, in_order


def job(number: int) -> int:
    """Return the square of `number`; 13 kills the process."""
    if number == 13:
        os._exit(1)
    return number**2


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_are_in_order(workers: int) -> None:
    """Results are in the order of the items for any number of processes."""
    assert list(in_order(abs, range(-50, 0), workers)) == list(range(50, 0, -1))


def test_only_so_many_are_under_way() -> None:
    """Items are taken only as far ahead of the results as the window allows."""
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        while taken < 30:
            taken += 1
            yield taken

    with ProcessPoolExecutor(1) as pool:
        for number, (item, result) in enumerate(Window(pool, abs, items(), size=4), 1):
            assert (item, result.result()) == (number, number)
            assert taken <= number + 3


def test_an_item_put_first_comes_first() -> None:
    """An item put first is processed before waiting ones; an empty window stays open for it."""
    with ProcessPoolExecutor(1) as pool:
        window, seen = Window(pool, abs, [1, 2, 3], size=2), []
        for item, result in window:
            assert result.result() == item
            seen.append(item)
            if item in (1, 3):
                window.put_first(item + 10)
    assert seen == [1, 11, 2, 3, 13]


def test_a_broken_pool_is_a_result() -> None:
    """A dead process raises only where its result is taken; the rest continues in another pool."""
    broken = ProcessPoolExecutor(1)
    seen: dict[int, int | None] = {}
    with ProcessPoolExecutor(1) as other:
        window = Window(broken, job, range(10, 30), size=2)
        for item, result in window:
            try:
                seen[item] = result.result(20)
            except BrokenExecutor:
                seen[item] = None
                broken.shutdown(wait=True)
                window.move_to(other)
    assert list(seen) == list(range(10, 30))
    assert [item for item, square in seen.items() if square != item**2] == [13]


def test_batches_may_change_their_size() -> None:
    """The batch size can change from the next batch on, without losing an item."""
    batches, seen = Batches(range(10), 4), []
    for batch in batches:
        seen.append(batch)
        batches.size = 1 if batch[0] < 5 else 3
    assert seen == [[0, 1, 2, 3], [4], [5], [6, 7, 8], [9]]


def test_semaphores_left_at_the_end_are_no_news() -> None:
    """Leftover semaphores are freed without a message after a command's output."""
    leave_one = "from loky.backend import resource_tracker as tracker; tracker.register('/loky-left', 'semlock')"
    for first, silent in (("import sys", False), ("import pipeline.images.ordered", True)):
        done = subprocess.run(
            [sys.executable, "-c", f"{first}; {leave_one}"], capture_output=True, text=True, check=True
        )
        assert (not done.stderr) == silent, done.stderr


def _is_deaf(_: int) -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_other_processes_never_hear_of_an_interrupt() -> None:
    """^C on a terminal reaches only this process, which ends the others; they print nothing."""
    assert list(in_order(_is_deaf, range(3), 2)) == [True] * 3
    assert not _is_deaf(0)
