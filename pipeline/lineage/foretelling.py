"""Predicts the next training's base: applies the rules of selection.py to Git's records, and fetches nothing."""

from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

from pipeline.lineage.acceptance import read_judgements
from pipeline.lineage.base import MODEL, Base
from pipeline.lineage.known_models import known_models
from pipeline.lineage.lineage import Recorded
from pipeline.lineage.selection import Candidates, Situation, select
from pipeline.params import Params
from pipeline.versioning.lock import StageRecord


class Reported(Candidates):
    """Candidates as recorded in the workspace and Git's history; which images they have seen is not checked."""

    @cached_property
    def known(self) -> Mapping[str, Recorded]:
        """The lineage of every recorded model, by hash."""
        return known_models()

    def admits(self, model: str) -> bool:
        """Accept any model: only `manifest` checks which images it has seen."""
        return bool(model)

    def base_of(self, model: str) -> str | None:
        """Return the recorded base of `model`.

        Raises:
            KeyError: nothing is known of the model.
        """
        return self.known[model].base


def foretell(
    params: Params, train: StageRecord | None, *, same_images: bool, candidates: Reported | None = None
) -> Base:
    """Return the base of the next training.

    Without `candidates`, this assumes that no model has seen an image that is held out now.

    Raises:
        RecordError: the recorded model is not judged yet, or dvc.lock does not record the model in the workspace.
        KeyError: a model is refused, and no commit in this clone records its base.
    """
    return select(Situation.of(params, train, same_images=same_images), candidates or Reported())


class Heir(NamedTuple):
    """The model that the next training starts from, if its images are not those of the last training."""

    model: str | None
    """Its hash; None where every model is refused."""
    why: str
    """Why it is not the last model; empty where it is."""
    is_final: bool = False
    """Whether the last model can no longer be accepted."""


def heir(train: StageRecord) -> Heir:
    """Return the heir of the model recorded by `train`, assuming that no model has seen an image held out now.

    Raises:
        RecordError, KeyError: see `foretell`.
    """
    last, reported = train.outs[MODEL], Reported()
    model = select(Situation(is_cold=False, train=train, has_model=True, same_images=False), reported).oid
    if model == last:
        return Heir(last, "")
    known, judgement = reported.known[last], read_judgements().get(last)
    if last in reported.forgotten:
        return Heir(model, f"generation {known.generation} is forgotten, with images that it has seen", is_final=True)
    word = f"refused by hand: {judgement.why}" if judgement else f"not accepted: {known.verdict}"
    return Heir(model, f"generation {known.generation} is {word}")
