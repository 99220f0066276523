"""The ancestors of a model and their recorded metrics, as far as this clone has them."""

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
    """An earlier generation of a model."""

    recorded: Recorded
    metrics: Metrics | None
    """Its metrics on the test images of that time; None where they are not known."""

    @property
    def accuracy(self) -> float | None:
        """The test accuracy; None where the metrics are not known, or there were no test images."""
        return self.metrics.get("accuracy") if self.metrics else None


def known_ancestors(base: str | None, nearby: Path | None = None) -> list[Past]:
    """Return the model with hash `base` and its ancestors, oldest first, as far as Git's history records them.

    If several commits record the same model, the metrics of the oldest commit count. If no commit has recorded `base`
    yet, its lineage is read from the folder `nearby`, which contains the model. Without Git, or in a shallow clone,
    some ancestors are not known. A damaged record causes a warning; that model and its ancestors are not known either.
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
    """Return the metrics in `past` by generation, without those that are not known or have an older format."""
    known = ((one.recorded.generation, one.metrics) for one in past if one.metrics is not None)
    return {generation: metrics for generation, metrics in known if {"slices", "classes"} <= metrics.keys()}


def _past(training: Training, metrics: bytes | None, details: bytes | None) -> Past:
    parsed = parse_metrics(metrics, details, partial(show_hint, training.commit)) if metrics else None
    return Past(training.recorded, parsed)


def _in_git() -> dict[str, Training]:
    """Return the trainings that Git's history records, by the hash of the model."""
    try:
        return {training.recorded.model: training for training in generations()}
    except RecordError as error:
        logger.info("nothing is known of earlier generations: %s", error)
        return {}
