"""data/.progress/durations.jsonl: how long the last runs of each stage took here, to estimate the next.

Only a forecast depends on it: what cannot be written is not written, and what cannot be read is passed over.
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
# Runs of a stage that a forecast looks at.
LAST = 20
# Lines from which on old ones are dropped, and how many are then left.
MOST, LEFT = 400, 200
# A run that is longer than the longest by more than this factor is not foretold.
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
    """Images or steps that it worked on, whatever takes the stage its time."""
    start: NonNegativeFloat
    """Seconds until the work began."""
    work: NonNegativeFloat
    """Seconds from then on."""


class Pace(NamedTuple):
    """How long a stage takes."""

    start: float
    """Seconds, whatever there is to do."""
    each: float
    """Seconds more for each image or step."""
    most: int
    """The largest amount that it was seen to do."""

    @classmethod
    def of(cls, runs: Sequence[Duration]) -> Self | None:
        """What the `runs` of one kind come to, None without any.

        Runs of very different size tell the work apart from what any run takes; the median keeps out those during
        which the machine was busy, or slept.
        """
        if not runs:
            return None
        most = max(run.amount for run in runs)
        each = median(_slopes(runs, at_least=max(most / 2, 1)) or _shares(runs) or [0.0])
        return cls(median(run.start + max(run.work - each * run.amount, 0.0) for run in runs), each, most)

    def seconds(self, amount: int) -> float | None:
        """How long so much is likely to take; None where nothing like it was ever seen."""
        return self.start + self.each * amount if amount <= FURTHEST * self.most else None


def kind_of(stage: str, params: Params) -> str:
    """Says what decides how long one image or step takes; only runs of one kind can be compared."""
    if stage == "ingest":
        facts: dict[str, object] = params.ingest.model_dump(include={"mode", "size"})
    elif stage in ("train", "evaluate"):
        of_model = params.train.model_dump(include={"model", "size", "freeze", "batch_size", "precision", "compile"})
        facts = {**of_model, **params.compute.model_dump(include={"accelerator", "devices", "nodes"})}
    else:
        facts = {}
    return " ".join(f"{name}={value}" for name, value in sorted(facts.items()))


def note(duration: Duration, path: Path = DURATIONS) -> None:
    """Remember `duration`, if that is possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"\n{duration.model_dump_json()}\n")  # A kill may have left half a line before it.
        lines = [line for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if line]
        if len(lines) > MOST:
            write_text(path, "\n".join([*lines[-LEFT:], ""]))
    except OSError:
        logger.debug("duration not written", exc_info=True)


def pace(stage: str, params: Params, path: Path = DURATIONS) -> Pace | None:
    """How long `stage` takes with `params`, by the last runs that are like it; None where there was none."""
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
    """Seconds for each image or step, by pairs of runs that differ by `at_least` so many.

    Not by scipy.stats.theilslopes, whose import takes longer than all others of `pipeline status`: it takes every pair.
    """
    pairs = (sorted(pair, key=lambda run: run.amount) for pair in combinations(runs, 2))
    apart = ((low, high, high.amount - low.amount) for low, high in pairs)
    return [max(high.work - low.work, 0.0) / more for low, high, more in apart if more >= at_least]


def _shares(runs: Sequence[Duration]) -> list[float]:
    return [run.work / run.amount for run in runs if run.amount]
