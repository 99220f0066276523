"""The models that a model descends from, and what was recorded of them, as far as that is known here."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.git import contents
from pipeline.lineage.history import Training, generations, show_hint
from pipeline.lineage.lineage import Recorded, read_lineage
from pipeline.lineage.recorded_metrics import Metrics, parse_metrics

logger = logging.getLogger(__name__)


class Past(NamedTuple):
    """An earlier generation."""

    recorded: Recorded
    metrics: Metrics | None
    """What was measured of it, on the test images of then; None where that is not known."""

    @property
    def accuracy(self) -> float | None:
        """None where there were no test images, too."""
        return self.metrics.get("accuracy") if self.metrics else None


def known_ancestors(base: str | None, nearby: Path | None = None) -> list[Past]:
    """The model of hash `base` and those before it, oldest first, as far as Git's history knows them.

    Of the commits that name the same model the metrics of the oldest count. Where no commit has recorded `base` yet,
    the folder `nearby`, which holds it, names it and its base. In a project without Git, or in a shallow clone,
    some are not known; nor are those whose record is damaged, which a warning says, and those before them.
    """
    known = _in_git() if base is not None else {}
    here, chain = [], []
    if base is not None and nearby is not None and base not in known:
        here = [Past(Recorded(model=base, **read_lineage(nearby).model_dump()), None)]
        base = here[0].recorded.base
    while base in known:
        chain.append(known.pop(base))
        base = chain[-1].recorded.base
    places = [(one.commit, path) for one in reversed(chain) for path in (paths.METRICS, paths.DETAILS)]
    read = contents(places) if chain else []
    return [*map(_past, reversed(chain), read[::2], read[1::2]), *here]


def recorded_metrics(past: Sequence[Past]) -> dict[int, Metrics]:
    """The metrics of each of `past`, by generation, but for those that are not known or of an older form."""
    known = ((one.recorded.generation, one.metrics) for one in past if one.metrics is not None)
    return {generation: metrics for generation, metrics in known if {"slices", "classes"} <= metrics.keys()}


def _past(training: Training, metrics: bytes | None, details: bytes | None) -> Past:
    parsed = parse_metrics(metrics, details, partial(show_hint, training.commit)) if metrics else None
    return Past(training.recorded, parsed)


def _in_git() -> dict[str, Training]:
    """By the hash of the model."""
    try:
        return {training.recorded.model: training for training in generations()}
    except RecordError as error:
        logger.info("nothing is known of earlier generations: %s", error)
        return {}
