"""Which model is the next base, told from what Git holds alone: neither models nor images need be here."""

from typing import NamedTuple

from pipeline.acceptance import newest_accepted, read_judgements, refused_models
from pipeline.base import BASE, MODEL, reason_of
from pipeline.errors import RecordError
from pipeline.history import trainings
from pipeline.lineage import Recorded, read_recorded
from pipeline.record import StageRecord


class Heir(NamedTuple):
    """The model that a training on other images than the last one's starts from."""

    model: str | None
    """Its hash; None where every model is refused."""
    why: str
    """Why it is not the last one; empty where it is."""


def known_models() -> dict[str, Recorded]:
    """The models that the workspace and Git's history tell of, by hash."""
    try:
        known = {training.recorded.model: training.recorded for training in trainings()}
    except RecordError:  # Of a project without a commit, say: then there is the workspace.
        known = {}
    here = read_recorded()
    return known if here is None else {**known, here.model: here}


def heir(train: StageRecord) -> Heir:
    """The heir of the model that dvc.lock records as made by `train`, if no image that it has seen is held out now.

    Raises:
        RecordError: nobody has judged that model yet.
        KeyError: a model that is refused, and of whose base no commit here tells.
    """
    last = train.outs[MODEL]
    refused = refused_models(last, has_base=reason_of(train.deps[BASE]) is None)
    if last not in refused:
        return Heir(last, "")
    known = known_models()
    judgement = read_judgements().get(last)
    word = f"refused by hand: {judgement.why}" if judgement else f"not accepted: {known[last].verdict}"
    generation = f"generation {known[last].generation}" if last in known else f"{last[:8]}…"
    model = newest_accepted(last, {model: recorded.base for model, recorded in known.items()}, refused)
    return Heir(model, f"{generation} is {word}")
