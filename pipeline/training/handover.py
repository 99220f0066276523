"""Handing over an unfinished training: the machine that goes on with it begins where another one has come to.

Whatever is asked of the other place may fail, or take for ever: then training goes on as without it.
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

# Where trainings are kept, a folder for each.
TRAININGS = "train"


@contextmanager
def handed_over(where: str, progress: Progress, say: Say) -> Iterator[None]:
    """While this lasts, what `progress` saves is kept `where` others find it; first, what they have saved is fetched.

    Once it ends well, nothing is left there. `say` tells people.

    Raises:
        ParamError: there is no such place.
        TrainingError: another process goes on with this training.
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
    """What one training has in a folder that other machines reach."""

    def __init__(self, folder: RemoteFolder, progress: Progress, say: Say) -> None:
        self._folder, self._progress, self._say = folder, progress, say
        self._lease, self._uploads = Lease(folder), Background(self._upload, most=1)
        self._attempts = Attempts(folder, say)

    def begin(self) -> None:
        """Go on with the training, from its state that is the furthest, here or there.

        Raises:
            TrainingError: another process does.
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
        """End before the training does: see that its newest state arrives, if it does soon."""
        self._lease.end()
        if self._attempts.finish(self._uploads, "the newest state"):
            self._attempts.attempt("keeps its lease", self._lease.give_up)

    def clear(self) -> None:
        """Delete all of it, since the training has succeeded."""
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
        return TrainingError(self._folder, f"{runner} goes on with this training", f"end that, or try again {then}")

    def _fetch(self) -> None:
        """Fetch the newest whole state, if it is further than what is here."""
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
        """The names of the states that are there, the newest first."""
        return sorted((name for name in self._folder.times() if name.endswith(SUFFIX)), reverse=True)

    def _upload(self, saved: Path) -> None:
        """Upload the state `saved`, and keep the newest ones."""
        if self._lease.is_lost:
            self._attempts.warn("takes no more", RuntimeError("another process goes on with this training"))
            return
        try:
            self._folder.prepare()
            if saved.name not in self._saved():
                self._folder.put(saved, saved.name)
            broken_off = [name for name in self._folder.times() if name.endswith(PART)]
            for name in [*broken_off, *self._saved()[KEPT:]]:
                self._folder.delete(name)
        except Exception as error:  # noqa: BLE001 (every kind of remote has errors of its own)
            if saved.exists():  # Else newer ones have taken its place meanwhile, and the newest comes next.
                self._attempts.warn("lacks the newest state", error)
