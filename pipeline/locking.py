"""Locks between processes. A lock goes when its process does, however that ends."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def locked(path: Path, *, taken: Callable[[], Exception] | None = None) -> Iterator[None]:
    """Keep out other processes that lock the file `path`, which may hold anything.

    Where another process has it, raise what `taken` returns; without `taken`, wait. Where the disk knows no locks,
    nobody is kept out.
    """
    # The library's other kind of lock, a file that is there or not, would outlive a machine that crashes.
    lock = FileLock(path, blocking=taken is None, fallback_to_soft=False)
    with ExitStack() as held:
        try:
            held.enter_context(lock)
        except Timeout:
            assert taken is not None
            raise taken() from None
        except OSError:
            pass
        yield
