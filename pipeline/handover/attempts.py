"""Operations on a shared folder, with timeouts: if they fail or hang, the run continues without them."""

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

# Timeout of an operation, in seconds.
PATIENCE = 10.0
# Seconds without a new byte after which a download is aborted.
STALLED = 30.0
# Timeout, in seconds, of the last uploads once the process is asked to end. Cloud providers announce the loss of a
# machine half a minute to two minutes before.
GRACE = 100.0

T = TypeVar("T")
Say = Callable[[str], None]


class Attempts:
    """The operations of one process on `folder`; `say` prints a message for the user."""

    def __init__(self, folder: RemoteFolder, say: Say) -> None:
        self._folder, self._say = folder, say
        self._is_warned = False

    def warn(self, what: str, error: Exception) -> None:
        """Log that an operation failed: the first time as a warning, later for debugging."""
        level = logging.DEBUG if self._is_warned else logging.WARNING
        logger.log(
            level, "compute.progress: %s %s: %s; this run continues without it", self._folder, what, one_line(error)
        )
        self._is_warned = True

    def ask(self, work: Callable[[], T]) -> T:
        """Return the result of `work`.

        Raises:
            Exception: what `work` raises, or TimeoutError after `PATIENCE` seconds.
        """
        return within(PATIENCE, work)

    def fetch(self, name: str, target: Path) -> None:
        """Download the file `name` to `target`, however long that takes, as long as bytes arrive.

        Raises:
            Exception: what the store's library raises, or TimeoutError if the download stalls.
        """
        within(STALLED, partial(self._folder.fetch, name, target), grows=target)

    def attempt(self, failed: str, work: Callable[[], None]) -> None:
        """Run `work`, which only other machines need; a failure is logged as `failed`."""
        try:
            self.ask(work)
        except Exception as error:  # noqa: BLE001 (each kind of remote raises its own errors)
            self.warn(failed, error)

    def drop(self, uploads: Background[Any]) -> None:
        """Cancel the `uploads` that have not begun, and wait up to `PATIENCE` seconds for the one that has."""
        uploads.drop()
        uploads.rests_within(PATIENCE)

    def finish(self, uploads: Background[Any], what: str) -> bool:
        """Wait for `uploads` before this process ends; returns whether they are done. A second signal ends the wait."""
        with stoppable((signal.SIGINT, signal.SIGTERM)):
            if not uploads.rests_within(0.5):
                self._say(f"uploading {what} to {self._folder}; a second signal ends at once")
            if uploads.rests_within(GRACE):
                return True
            self.warn(f"lacks {what}", TimeoutError(f"not there after {GRACE:.0f} seconds"))
            return False
