"""What is tried in a folder that other machines reach: it may fail, or take for ever; then all goes on without it."""

import logging
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import one_line
from pipeline.handover.background import Background, within
from pipeline.handover.remote_folder import RemoteFolder
from pipeline.signals import stoppable

logger = logging.getLogger(__name__)

# Seconds for an answer, at the start and at the end.
PATIENCE = 10.0
# Seconds without a further byte, after which a download is given up.
STALLED = 30.0
# Seconds for what is newest to arrive once the process is asked to end. Who takes a machine away says so from half a
# minute to two minutes before.
GRACE = 100.0

T = TypeVar("T")
Say = Callable[[str], None]


class Attempts:
    """Those of one process in the folder `folder`; `say` tells people."""

    def __init__(self, folder: RemoteFolder, say: Say) -> None:
        self._folder, self._say = folder, say
        self._is_warned = False

    def warn(self, what: str, error: Exception) -> None:
        """Say that something failed, the first time."""
        level = logging.DEBUG if self._is_warned else logging.WARNING
        logger.log(level, "compute.progress: %s %s: %s; this run needs none of it", self._folder, what, one_line(error))
        self._is_warned = True

    def ask(self, work: Callable[[], T]) -> T:
        """What `work` returns, if it is soon.

        Raises:
            Exception: what it raises, or TimeoutError.
        """
        return within(PATIENCE, work)

    def fetch(self, name: str, target: Path) -> None:
        """Copy a file from there into the file `target`, however long that takes, as long as bytes come.

        Raises:
            Exception: what the store's library raises, or TimeoutError.
        """
        within(STALLED, partial(self._folder.fetch, name, target), grows=target)

    def attempt(self, failed: str, work: Callable[[], None]) -> None:
        """Do what others need, and this process does not."""
        try:
            self.ask(work)
        except Exception as error:  # noqa: BLE001 (every kind of remote has errors of its own)
            self.warn(failed, error)

    def drop(self, uploads: Background[Any]) -> None:
        """Leave out those of `uploads` that have not begun; what has ends soon, or is waited for no longer."""
        uploads.drop()
        uploads.rests_within(PATIENCE)

    def finish(self, uploads: Background[Any], what: str) -> bool:
        """Wait for `uploads` before this process ends; whether they are done. A further signal ends it at once."""
        with stoppable((signal.SIGINT, signal.SIGTERM)):
            if not uploads.rests_within(0.5):
                self._say(f"uploading {what} to {self._folder}; a second signal ends at once")
            if uploads.rests_within(GRACE):
                return True
            self.warn(f"lacks {what}", TimeoutError(f"not there after {GRACE:.0f} seconds"))
            return False
