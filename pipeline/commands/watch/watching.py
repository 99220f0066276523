"""Run `dvc repro` whenever new images have been copied to data/raw; commit and push the results."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from signal import Signals

from pipeline import paths
from pipeline.commands.interrupts import Interrupts, noting
from pipeline.commands.subprocesses import FOLDER, Subprocesses
from pipeline.commands.watch import commits
from pipeline.commands.watch.repro import Repro, accuracy, run_if_due
from pipeline.commands.watch.settling import arrivals
from pipeline.errors import ImagesError, RecordError, TrainingError, TreeringError, one_line
from pipeline.locking import locked
from pipeline.result import ImageChange
from pipeline.text import shown
from pipeline.versioning.raw.absence import read_absent

LOCK = FOLDER / "lock"
FIRST = f"put images there, in the project's folder, and run `dvc add {paths.RAW}` once"


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """Options of a watcher."""

    settle: float
    """Seconds without a change after which copying into data/raw is taken to have ended."""
    commit: bool
    push: bool
    once: bool
    """End after the first run, or at once if there is nothing to do."""
    live: bool
    """Show the output of the commands."""


def watch(wishes: WatchOptions) -> int:
    """Watch until a signal comes, or once, and return the exit status.

    Raises:
        TreeringError: the watcher cannot start, for example because another one runs.
    """
    _check(wishes)
    with _alone(), noting() as interrupts:
        say(f"watching {paths.RAW}; ^C ends it")
        watcher = Watcher(wishes, interrupts)
        for _ in arrivals(paths.RAW, wishes.settle, interrupts.event):
            went_well = watcher.work()
            if wishes.once and not interrupts.came:
                return 0 if went_well else 1
            if interrupts.came:
                break
    say(f"ended by {Signals(interrupts.came[0]).name}; nothing is lost, `pipeline watch` or `dvc repro` continues")
    return 128 + interrupts.came[0]


class Watcher:
    """Trains on new images, and publishes the results."""

    def __init__(self, wishes: WatchOptions, interrupts: Interrupts) -> None:
        self._wishes, self._interrupts = wishes, interrupts
        self._children = Subprocesses(interrupts, live=wishes.live)
        # Changed images of earlier runs that failed or could not be committed.
        self._change = ImageChange()

    def work(self) -> bool:
        """Run `dvc repro` if it is due, and publish; return whether all went well. Errors are printed, not raised."""
        self._children.open_log()
        try:
            run = run_if_due(self._children, self._interrupts, say)
            if self._interrupts.came and (run is None or run.error):
                return False  # The run was interrupted, which `watch` reports at the end.
            if run is not None:
                self._change = self._change.then(run.change)
                if run.error is not None:
                    say(f"failed after {lasted(run.seconds)}: {run.error}; see {self._children.log}")
                    return False
            return self._publish(run)
        except (TreeringError, OSError) as error:
            say(f"error: {shown(one_line(error))}")
            return False

    def _publish(self, run: Repro | None) -> bool:
        """Commit and push as the options ask, then print a summary of the run; return whether there was no error."""
        said, trouble = [], None
        if run is None:
            said.append("nothing to do")
        else:
            said += [str(run.change), run.result, lasted(run.seconds)]
        try:
            said += self._committed(run)
            if self._wishes.push and not self._interrupts.came and commits.push(self._children):
                said.append("pushed")
        except TreeringError as error:
            trouble = error
        say("; ".join(said))
        if trouble is not None and not self._interrupts.came:
            say(f"error: {shown(one_line(trouble))}")
        return trouble is None

    def _committed(self, run: Repro | None) -> list[str]:
        if not self._wishes.commit:
            return []
        result = run.result if run else accuracy(is_new=False)
        commit = commits.commit(f"Train on {self._change}: {result}")
        if commit is None:
            return []
        self._change = ImageChange()
        theirs = commits.uncommitted_conditions()
        return [f"committed {commit}" + (f" without your changes to {', '.join(map(shown, theirs))}" if theirs else "")]


def say(text: str) -> None:
    """Print `text` after the current time."""
    print(f"{datetime.now().astimezone():%H:%M} {text}", flush=True)


def lasted(seconds: float) -> str:
    """Format a duration."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _check(wishes: WatchOptions) -> None:
    if paths.RAW_DVC.exists() and read_absent() != set():
        paths.RAW.mkdir(exist_ok=True)  # The images of data/raw need not be present locally.
    if not paths.RAW.is_dir():
        hint = f"run `dvc pull {paths.RAW_DVC}`" if paths.RAW_DVC.exists() else FIRST
        raise ImagesError(paths.RAW, "no such folder", hint)
    if not paths.RAW_DVC.exists():
        raise RecordError(paths.RAW, "not tracked by DVC yet", f"run `dvc add {paths.RAW}` once, then this")
    if wishes.commit:
        commits.own_files()
    if wishes.push:
        commits.check_can_push()


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the lock of the only watcher; the lock file contains the process id."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with locked(LOCK, taken=_taken):
        LOCK.write_text(f"{os.getpid()}\n", encoding="ascii")
        yield


def _taken() -> TrainingError:
    holder = LOCK.read_text(encoding="ascii").strip() or "unknown"
    what = f"another `pipeline watch` is running (pid {holder})"
    return TrainingError(paths.RAW, what, "leave it to that one, or end it first")
