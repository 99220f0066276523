"""What was recorded of the models that a model descends from, in the metrics.json of the commits that recorded them."""

import json
import logging
from typing import Any

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.git import contents
from pipeline.history import Training, trainings

logger = logging.getLogger(__name__)


def recorded_metrics(base: str | None) -> dict[int, dict[str, Any]]:
    """The metrics of the model of hash `base` and its ancestors, by generation, as far as Git's history knows them.

    Of the commits that name the same model the oldest counts, so that a later one changes nothing. A project without
    Git, a commit that was never made, a shallow clone or a file of an older form: what is not known is left out.
    """
    try:
        chain = _chain(base, trainings())
        read = contents([f"{training.commit}:{paths.METRICS.as_posix()}" for training in chain])
    except RecordError as error:
        logger.info("nothing is known of earlier generations: %s", error)
        return {}
    found = {
        training.recorded.generation: json.loads(text or b"{}") for training, text in zip(chain, read, strict=True)
    }
    return {number: metrics for number, metrics in found.items() if {"slices", "classes"} <= metrics.keys()}


def _chain(base: str | None, newest_first: list[Training]) -> list[Training]:
    """The training of the model of hash `base` and those of its ancestors, up to the first that is not known."""
    known = {training.recorded.model: training for training in newest_first}
    chain: list[Training] = []
    while base in known and known[base] not in chain:
        chain.append(known[base])
        base = known[base].recorded.base
    return chain
