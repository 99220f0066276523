"""The process of the trackers: `python -m pipeline.training.trackers.worker`, which reads messages as lines of JSON.

In a separate process, trackers cannot use the training's random numbers, and may block, fail or be killed without
affecting training.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread, Timer
from typing import Any, TextIO

from pipeline.errors import one_line
from pipeline.training.trackers.runs import Facts, Known, TrackedRun, run_name

Message = dict[str, Any]
# Seconds until a retry of points that could not be logged.
RETRY = 20.0
# Seconds for logging the remaining points after the training process has ended without a message.
ORPHANED = 60.0
# Most characters of an error message; some fill a page.
SAID = 200


def why(error: BaseException) -> str:
    """Return a short reason for `error`: the message of the system error that caused it, if there is one."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, OSError) and below.errno and below.strerror:
            return below.strerror
        below = below.__cause__ or below.__context__
    said = one_line(error)
    return said if len(said) <= SAID else f"{said[:SAID]}…"


def main() -> None:
    """Open the runs of the first message, and log the content of all others."""
    given, answer = _streams()
    order = json.loads(given.readline())
    runs: list[TrackedRun] = []
    facts = {**order["facts"], **_commit()}
    name = run_name(facts["generation"])
    for tracker, place in order["trackers"].items():
        known = order["known"].get(tracker)
        try:
            run = TrackedRun(tracker, place, name, Known(**known) if known else None)
            run.tell(facts)
        except (Exception, SystemExit) as error:  # noqa: BLE001 (each has errors of its own)
            print(f"{tracker}: {one_line(error)}", file=sys.stderr, flush=True)
            for opened in runs:
                with suppress(Exception):
                    opened.end("failed", {}, {})
            answer({"tracker": tracker, "refused": why(error)})
            return
        runs.append(run)
    answer({"opened": {run.tracker: {"identity": run.identity, "link": run.link} for run in runs}})
    Worker(runs, Path(order["state"]), answer).run(given)


class Worker:
    """Logs all messages to all runs, and retries points that a tracker has not accepted."""

    def __init__(self, runs: list[TrackedRun], state: Path, answer: Any) -> None:
        self._runs, self._state, self._answer = runs, state, answer
        self._complained: set[str] = set()

    def run(self, given: TextIO) -> None:
        """Log the messages in the lines of `given` until the final one, or until training ends without it."""
        messages: SimpleQueue[Message | None] = SimpleQueue()
        Thread(target=partial(_read, given, messages), daemon=True).start()
        self._save()
        while True:
            batch = list(self._batch(messages))
            if None in batch:
                gone = Timer(ORPHANED, os._exit, (0,))
                gone.daemon = True
                gone.start()
            for message in filter(None, batch):
                for run in self._runs:
                    run.add(message.get("points", []))
            for run in self._runs:
                self._attempt(run, run.flush)
            self._save()
            if last := next((message for message in batch if message and "outcome" in message), None):
                for run in self._runs:
                    self._attempt(run, partial(run.end, last["outcome"], last["facts"], last["final"]))
                return
            if None in batch:
                os._exit(0)  # The runs stay open, so that a resumed training can continue them.

    def _batch(self, messages: "SimpleQueue[Message | None]") -> Iterator[Message | None]:
        """Wait for a message, and yield it and all others that have arrived."""
        try:
            yield messages.get(timeout=RETRY if any(run.is_behind for run in self._runs) else None)
            while True:
                yield messages.get_nowait()
        except Empty:
            return

    def _attempt(self, run: TrackedRun, work: Any) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 (each has errors of its own)
            print(f"{run.tracker}: {one_line(error)}", file=sys.stderr, flush=True)
            if run.tracker not in self._complained:
                self._answer({"tracker": run.tracker, "failed": why(error)})
            self._complained.add(run.tracker)

    def _save(self) -> None:
        """Write the id and the last steps of each run to the state file."""
        known = {run.tracker: {"identity": run.identity, "steps": run.steps} for run in self._runs}
        part = self._state.with_suffix(".part")
        try:
            part.write_text(json.dumps(known), encoding="utf-8")
            part.replace(self._state)
        except OSError:
            return  # The folder is deleted when training has ended.


def _commit() -> Facts:
    """Return the current Git commit, if there is one; training itself does not use Git."""
    command = ["git", "rev-parse", "--verify", "--quiet", "HEAD"]
    with suppress(OSError, subprocess.CalledProcessError):
        found = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 (ours)
        return {"commit": found.stdout.strip()}
    return {}


def _read(given: TextIO, messages: "SimpleQueue[Message | None]") -> None:
    for line in given:
        messages.put(json.loads(line))
    messages.put(None)


def _streams() -> tuple[TextIO, Any]:
    """Return the stream of given lines, and the function that answers with a line.

    Output of trackers is redirected to standard error, and their standard input is empty.
    """
    given, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)

    def answer(message: Mapping[str, Any]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    return given, answer


if __name__ == "__main__":
    main()
