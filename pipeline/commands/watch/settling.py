"""Detect new files in a folder, and when copying into it has ended.

Only names, sizes and times are inspected, which is cheap. File system events trigger inspections; lost events only
delay them.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import NamedTuple

# Suffixes of files that are still being copied or downloaded; .dvcignore hides them from DVC.
UNFINISHED = (".crdownload", ".filepart", ".part", ".partial", ".tmp")
# Seconds to wait for events at a time, and seconds after which the folder is inspected without an event, since network
# folders send none.
TICK, UNASKED = 1.0, 30.0


class Stamp(NamedTuple):
    """Size and times of a file: at least one of them changes when the file does."""

    size: int
    """Size in bytes."""
    written: int
    """Time of modification in nanoseconds since the epoch; copies may keep it."""
    changed: int
    """Time of status change in nanoseconds since the epoch; only the system sets it, also for links and modes."""


def is_passing(path: str) -> bool:
    """Whether the file `path` is temporary: incomplete, or hidden."""
    return path.endswith(UNFINISHED) or any(part.startswith(".") for part in path.split("/"))


def look(folder: Path) -> dict[str, Stamp]:
    """Return the stamps of all files below `folder`, by relative path, without incomplete files that DVC ignores."""
    found = {}
    for place, _, names in os.walk(folder):
        inside = os.path.relpath(place, folder)
        for name in names:
            if not name.endswith(UNFINISHED):
                with suppress(OSError):  # The file was removed meanwhile.
                    stat = os.stat(os.path.join(place, name))  # noqa: PTH116, PTH118 (a third of the time)
                    path = name if inside == "." else f"{inside}/{name}"
                    found[path] = Stamp(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return found


def content(files: Mapping[str, Stamp]) -> dict[str, tuple[int, int]]:
    """Return size and time of modification of those `files` that may be images, by path, to compare contents."""
    return {path: (stamp.size, stamp.written) for path, stamp in files.items() if not is_passing(path)}


class Settling:
    """Detects whether files have not changed for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._files: Mapping[str, Stamp] | None = None
        self._since = 0.0

    def is_still(self, files: Mapping[str, Stamp], now: float) -> bool:
        """Whether `files` have not changed for long enough; `now` is in seconds since the epoch.

        The first call uses the files' own times. Later calls compare with the previous files, so that another clock
        than that of this machine, such as a file server's, does no harm.
        """
        if self._files is None:
            self._since = max((stamp.changed for stamp in files.values()), default=0) / 1e9
        elif files != self._files:
            self._since = now
        self._files, self._since = files, min(self._since, now)
        return now - self._since >= self._seconds


def arrivals(folder: Path, settle: float, stop: Event) -> Iterator[None]:
    """Yield whenever `folder` has been unchanged for `settle` seconds and its content differs from the last time.

    The first yield needs no difference. The iterator ends when `stop` is set. Changes between yields are not missed.
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
    """Yield every `TICK` whether something has changed; always False if the system cannot watch the folder."""
    from watchfiles import watch

    top = folder.resolve()
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # It would log each event.

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
    except (OSError, RuntimeError):  # Too many folders for the system, a folder without read permission, …
        while not stop.wait(TICK):
            yield False
