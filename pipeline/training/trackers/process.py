"""Start and feed the process of the trackers; training waits for it only at the beginning and at the end."""

import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from pipeline import paths
from pipeline.errors import TrainingError
from pipeline.handover.background import Background
from pipeline.signals import stoppable
from pipeline.training.trackers import worker
from pipeline.training.trackers.runs import Facts

logger = logging.getLogger(__name__)

# Seconds until all runs must be open: imports, the creation of a database and retries of a server take time.
OPENING = 180.0
LOG = paths.LOGS / "trackers.log"
Message = dict[str, Any]


class TrackerProcess:
    """The process of `trackers`, which map the name of each to where it stores its runs."""

    def __init__(self, trackers: Mapping[str, str]) -> None:
        """Start the process."""
        self._trackers = dict(trackers)
        self.identities: dict[str, str] = {}
        """Id of each tracker's run, by tracker."""
        self._answers: SimpleQueue[Message | None] = SimpleQueue()
        self._is_over = False
        paths.LOGS.mkdir(parents=True, exist_ok=True)
        (paths.LOGS / ".gitignore").write_text("*\n", encoding="utf-8")  # Older projects do not ignore the folder.
        with LOG.open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(  # noqa: S603 (ours)
                [sys.executable, "-m", worker.__name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C goes to the training process only, which ends this one.
            )
        self._lines: Background[Message] = Background(self._write)
        Thread(target=self._read, daemon=True).start()

    def open(self, order: Message) -> dict[str, str]:
        """Open a run of each tracker as in `order`; returns the links to the runs, by tracker.

        Raises:
            TrainingError: a run cannot be opened.
        """
        self._lines.give({"trackers": self._trackers, **order})
        try:
            answer = self._answers.get(timeout=OPENING)
        except Empty:
            answer = {"refused": f"no answer in {OPENING:.0f} seconds"}
        except BaseException:
            self._kill()
            raise
        if answer is None or "refused" in answer:
            self._kill()
            raise self._refusal(answer or {"refused": "the process of trackers has ended"})
        self.identities = {name: run["identity"] for name, run in answer["opened"].items()}
        Thread(target=self._complain, daemon=True).start()
        return {name: run["link"] for name, run in answer["opened"].items()}

    def give(self, message: Message) -> None:
        """Send `message` to be logged, without waiting."""
        self._lines.give(message)

    def end(self, outcome: str, facts: Facts, final: Mapping[str, float], *, seconds: float) -> None:
        """Close the runs within `seconds`; a signal only ends the waiting."""
        self.give({"outcome": outcome, "facts": facts, "final": dict(final)})
        try:
            with stoppable():
                self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._warn(", ".join(self._trackers), f"no answer in {seconds:.0f} seconds at the end")
        except KeyboardInterrupt:
            pass
        finally:
            self._is_over = True
            self._kill()

    def _refusal(self, answer: Message) -> TrainingError:
        name = answer.get("tracker", ", ".join(self._trackers))
        where = f"train.loggers: {name}" + (f" at {place}" if (place := self._trackers.get(name)) else "")
        hint = f"correct it, or remove it from train.loggers; see {LOG}"
        return TrainingError(where, f"cannot begin a run: {answer['refused']}", hint)

    def _warn(self, name: str, why: str) -> None:
        logger.warning("train.loggers: %s: %s; training is not affected, see %s", name, why, LOG)

    def _complain(self) -> None:
        """Log a warning for each error that a tracker reports."""
        while (answer := self._answers.get()) is not None:
            self._warn(answer["tracker"], answer["failed"])
        if self._process.wait() and not self._is_over:
            self._warn(", ".join(self._trackers), f"their process ended with status {self._process.returncode}")

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            for line in answers:
                self._answers.put(json.loads(line))
        self._answers.put(None)

    def _write(self, message: Message) -> None:
        assert self._process.stdin is not None
        try:
            print(json.dumps(message), file=self._process.stdin, flush=True)
        except (OSError, ValueError):
            return  # The process has ended, which is already reported.

    def _kill(self) -> None:
        assert self._process.stdin is not None
        self._process.kill()
        self._process.wait()
        with suppress(OSError):  # Raised if the process has not read everything.
            self._process.stdin.close()
