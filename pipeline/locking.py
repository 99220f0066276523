"""Locks between processes. A lock is released when its process ends, even by a kill."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def locked(path: Path, *, taken: Callable[[], Exception] | None = None) -> Iterator[None]:
    """Hold an exclusive lock on the file `path`, whose content does not matter.

    If another process has the lock, raise the exception that `taken` returns; without `taken`, wait for the lock. On a
    file system without locks it does nothing.
    """
    # The library's other kind of lock, which is the existence of a file, would remain after a crash of the machine.
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
