"""Durations of recent stage runs on this machine, from which the next run's duration is forecast.

The file is data/.progress/durations.jsonl. Only forecasts use it, so read and write errors are ignored.
"""

import logging
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import NamedTuple, Self

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, ValidationError

from pipeline import paths
from pipeline.files import write_text
from pipeline.params import Params

logger = logging.getLogger(__name__)


DURATIONS = paths.PROGRESS / "durations.jsonl"
# A forecast uses at most this many recent runs of a stage.
LAST = 20
# When the file has more than MOST lines, only the newest LEFT are kept.
MOST, LEFT = 400, 200
# No forecast for an amount of work above this multiple of the largest recorded amount.
FURTHEST = 20


class Duration(BaseModel):
    """One run of a stage."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    stage: str
    kind: str
    """See `kind_of`."""
    amount: NonNegativeInt
    """Number of images or steps processed, whichever determines the stage's run time."""
    start: NonNegativeFloat
    """Start-up time in seconds, before the work began."""
    work: NonNegativeFloat
    """Time in seconds from the beginning of the work to its end."""


class Pace(NamedTuple):
    """A linear model of a stage's run time."""

    start: float
    """Fixed time in seconds, independent of the amount of work."""
    each: float
    """Additional seconds for each image or step."""
    most: int
    """The largest recorded amount of images or steps."""

    @classmethod
    def of(cls, runs: Sequence[Duration]) -> Self | None:
        """Estimate the pace from `runs` of one kind; return None if there are none.

        Runs of very different sizes separate the time per image from the fixed time. Medians are used so that runs
        during which the machine was busy or suspended do not distort the estimate.
        """
        if not runs:
            return None
        most = max(run.amount for run in runs)
        each = median(_slopes(runs, at_least=max(most / 2, 1)) or _shares(runs) or [0.0])
        return cls(median(run.start + max(run.work - each * run.amount, 0.0) for run in runs), each, most)

    def seconds(self, amount: int) -> float | None:
        """Return the expected seconds for `amount`; None if it far exceeds every recorded run (see `FURTHEST`)."""
        return self.start + self.each * amount if amount <= FURTHEST * self.most else None


def kind_of(stage: str, params: Params) -> str:
    """Describe the settings that determine the time per image or step; only runs of the same kind are comparable."""
    if stage == "ingest":
        facts: dict[str, object] = params.ingest.model_dump(include={"mode", "size"})
    elif stage in ("train", "evaluate"):
        of_model = params.train.model_dump(include={"model", "size", "freeze", "batch_size", "precision", "compile"})
        facts = {**of_model, **params.compute.model_dump(include={"accelerator", "devices", "nodes"})}
    else:
        facts = {}
    return " ".join(f"{name}={value}" for name, value in sorted(facts.items()))


def note(duration: Duration, path: Path = DURATIONS) -> None:
    """Append `duration` to the file at `path`; write errors are ignored."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"\n{duration.model_dump_json()}\n")  # An interrupted write may have left a partial line.
        lines = [line for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if line]
        if len(lines) > MOST:
            write_text(path, "\n".join([*lines[-LEFT:], ""]))
    except OSError:
        logger.debug("duration not written", exc_info=True)


def pace(stage: str, params: Params, path: Path = DURATIONS) -> Pace | None:
    """Estimate the pace of `stage` with `params` from its last runs of the same kind; None if there are none."""
    kind = kind_of(stage, params)
    return Pace.of([run for run in _read(path) if (run.stage, run.kind) == (stage, kind)][-LAST:])


def _read(path: Path) -> list[Duration]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    runs = []
    for line in filter(None, lines):
        try:
            runs.append(Duration.model_validate_json(line))
        except ValidationError:
            logger.debug("%s: a damaged line", path)
    return runs


def _slopes(runs: Sequence[Duration], *, at_least: float) -> list[float]:
    """Return the seconds per image or step of each pair of runs whose amounts differ by `at_least` or more.

    scipy.stats.theilslopes is not used: it considers every pair, and importing it would take longer than all
    other imports of `pipeline status`.
    """
    pairs = (sorted(pair, key=lambda run: run.amount) for pair in combinations(runs, 2))
    apart = ((low, high, high.amount - low.amount) for low, high in pairs)
    return [max(high.work - low.work, 0.0) / more for low, high, more in apart if more >= at_least]


def _shares(runs: Sequence[Duration]) -> list[float]:
    return [run.work / run.amount for run in runs if run.amount]
