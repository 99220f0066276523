"""A folder that is copied into: what has come, and when it has come to rest.

Only names, sizes and times are inspected, which is cheap; events say when to look, and nothing depends on all of them.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import NamedTuple

# Names of what is still being copied or downloaded; .dvcignore hides them from DVC.
UNFINISHED = (".crdownload", ".filepart", ".part", ".partial", ".tmp")
# Seconds: how long events are waited for at a time, and after how many without one the folder is inspected, since
# network folders send none.
TICK, UNASKED = 1.0, 30.0


class Stamp(NamedTuple):
    """What changes when a file does."""

    size: int
    """In bytes."""
    written: int
    """In nanoseconds since the epoch, as are the others; copies may keep it."""
    changed: int
    """Set by the system alone; a link or another mode changes it, too."""


def is_passing(path: str) -> bool:
    """Whether the file `path` is one that comes and goes: half copied, or hidden."""
    return path.endswith(UNFINISHED) or any(part.startswith(".") for part in path.split("/"))


def look(folder: Path) -> dict[str, Stamp]:
    """The stamps of all files below `folder`, by path in it, but those that DVC does not see either."""
    found = {}
    for place, _, names in os.walk(folder):
        inside = os.path.relpath(place, folder)
        for name in names:
            if not name.endswith(UNFINISHED):
                with suppress(OSError):  # It has gone since.
                    stat = os.stat(os.path.join(place, name))  # noqa: PTH116, PTH118 (a third of the time)
                    path = name if inside == "." else f"{inside}/{name}"
                    found[path] = Stamp(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return found


def content(files: Mapping[str, Stamp]) -> dict[str, tuple[int, int]]:
    """Of `files` what may be images, by path: another size or time of writing means other ones."""
    return {path: (stamp.size, stamp.written) for path, stamp in files.items() if not is_passing(path)}


class Settling:
    """Tells whether files have been still for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._files: Mapping[str, Stamp] | None = None
        self._since = 0.0

    def is_still(self, files: Mapping[str, Stamp], now: float) -> bool:
        """Whether `files`, as they are `now` (seconds since the epoch), have been like this long enough.

        The first time their own stamps say since when; later they are compared, whatever clock made the stamps.
        """
        if self._files is None:
            self._since = max((stamp.changed for stamp in files.values()), default=0) / 1e9
        elif files != self._files:
            self._since = now
        self._files, self._since = files, min(self._since, now)
        return now - self._since >= self._seconds


def arrivals(folder: Path, settle: float, stop: Event) -> Iterator[None]:
    """Give way whenever `folder` has come to rest for `settle` seconds with other content than the last time.

    So it does once at the start; it ends when `stop` is set. What comes in between is not missed.
    """
    settling, seen, looked = Settling(settle), None, -UNASKED
    for has_changed in _events(folder, stop):
        if not has_changed and time.monotonic() - looked < UNASKED:
            continue
        looked, files = time.monotonic(), look(folder)
        if content(files) == seen:
            continue
        while not settling.is_still(files, time.time()):
            if stop.wait(min(1.0, settle / 4)):
                return
            files = look(folder)
        if content(files) != seen:
            seen = content(files)
            yield


def _events(folder: Path, stop: Event) -> Iterator[bool]:
    """Whether something has changed in the last `TICK`; where the system cannot tell, only the time passes."""
    from watchfiles import watch

    top = folder.resolve()
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # It would say each event.

    def matters(_: object, path: str) -> bool:
        return not is_passing(os.path.relpath(path, top))

    try:
        for changes in watch(
            top,
            watch_filter=matters,
            step=100,
            rust_timeout=round(TICK * 1000),
            yield_on_timeout=True,
            stop_event=stop,
            raise_interrupt=False,
        ):
            yield bool(changes)
    except (OSError, RuntimeError):  # More folders than the system watches, one that may not be read, …
        while not stop.wait(TICK):
            yield False
