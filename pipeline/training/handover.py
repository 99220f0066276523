"""Hand over an unfinished training between machines: another machine resumes it from the newest uploaded state.

Any access to the remote folder may fail or never return. Training then continues without it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pipeline.errors import TrainingError
from pipeline.handover.attempts import Attempts, Say
from pipeline.handover.background import Background
from pipeline.handover.lease import FRESH, Lease, Runner
from pipeline.handover.remote_folder import OFF, PART, RemoteFolder, open_folder
from pipeline.training.progress import KEPT, SUFFIX, Progress, is_whole, step_of

logger = logging.getLogger(__name__)

# The remote folder of all trainings, with a subfolder for each.
TRAININGS = "train"


@contextmanager
def handed_over(where: str, progress: Progress, say: Say) -> Iterator[None]:
    """Fetch a newer state from the remote folder `where`, then upload what `progress` saves until the context ends.

    If the context ends without an exception, the remote state is deleted. `say` prints messages for the user.

    Raises:
        ParamError: `where` is not a valid remote folder.
        TrainingError: another process is running this training.
    """
    if where == OFF:
        yield
        return
    handover = Handover(open_folder(where, TRAININGS, progress.inputs), progress, say)
    handover.begin()
    try:
        yield
    except BaseException:
        handover.leave()
        raise
    handover.clear()


class Handover:
    """The remote state of one training: its lease and its saved states in a folder that other machines can reach."""

    def __init__(self, folder: RemoteFolder, progress: Progress, say: Say) -> None:
        self._folder, self._progress, self._say = folder, progress, say
        self._lease, self._uploads = Lease(folder), Background(self._upload, most=1)
        self._attempts = Attempts(folder, say)

    def begin(self) -> None:
        """Claim the lease, fetch the remote state if it is newer than the local one, and start to upload.

        Raises:
            TrainingError: another process is running this training.
        """
        other = None
        try:
            other = self._attempts.ask(self._claim)
            if other is None:
                self._fetch()
        except Exception as error:  # noqa: BLE001 (every kind of remote has errors of its own)
            self._attempts.warn("cannot be read", error)
        if other is not None:
            raise self._refusal(*other)
        if newest := self._progress.newest():
            self._uploads.give(newest)
        self._progress.on_saved = self._uploads.give
        self._lease.keep()

    def leave(self) -> None:
        """Stop before the training is finished: wait for the upload of its newest state, for a limited time."""
        self._lease.end()
        if self._attempts.finish(self._uploads, "the newest state"):
            self._attempts.attempt("keeps its lease", self._lease.give_up)

    def clear(self) -> None:
        """Delete the remote state after the training has succeeded."""
        self._progress.on_saved = None
        self._lease.end()
        self._attempts.drop(self._uploads)
        self._attempts.attempt("is not deleted", self._folder.remove)

    def _claim(self) -> tuple[Runner, str] | None:
        self._folder.prepare()
        return self._lease.claim()

    def _refusal(self, runner: Runner, lease: str) -> TrainingError:
        self._attempts.attempt("keeps a lease", self._lease.give_up)
        then = (
            f"in {FRESH:.0f} seconds if that machine is gone, or delete {self._folder.url(lease)} to take over at once"
        )
        return TrainingError(self._folder, f"{runner} is running this training", f"stop it, or try again {then}")

    def _fetch(self) -> None:
        """Fetch the newest undamaged state, if it is newer than the local one."""
        here = self._progress.newest()
        done = -1 if here is None else self._progress.step_of(here)
        part = self._progress.folder / "fetched"
        for name in self._attempts.ask(self._saved):
            if step_of(name) <= done:
                return
            self._attempts.fetch(name, part)
            if is_whole(part, name):
                part.replace(self._progress.folder / name)
                self._say(f"fetched what another run saved in {self._folder}")
                return
            part.unlink()
            logger.warning("%s is damaged, continuing from the one before it", self._folder.url(name))
            self._attempts.ask(partial(self._folder.delete, name))

    def _saved(self) -> list[str]:
        """Return the names of the remote states, newest first."""
        return sorted((name for name in self._folder.times() if name.endswith(SUFFIX)), reverse=True)

    def _upload(self, saved: Path) -> None:
        """Upload the state `saved`, and delete partial uploads and old states."""
        if self._lease.is_lost:
            self._attempts.warn("gets no more states", RuntimeError("another process is running this training"))
            return
        try:
            self._folder.prepare()
            if saved.name not in self._saved():
                self._folder.put(saved, saved.name)
            broken_off = [name for name in self._folder.times() if name.endswith(PART)]
            for name in [*broken_off, *self._saved()[KEPT:]]:
                self._folder.delete(name)
        except Exception as error:  # noqa: BLE001 (every kind of remote has errors of its own)
            if saved.exists():  # Otherwise newer states have replaced it, and the newest is uploaded next.
                self._attempts.warn("lacks the newest state", error)
