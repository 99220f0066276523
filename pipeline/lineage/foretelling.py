"""Which model the next training will start from: the rules of selection.py, by what Git reports; nothing is fetched."""

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
    """Candidates as the workspace and Git's history report them; what they have seen is not looked into."""

    @cached_property
    def known(self) -> Mapping[str, Recorded]:
        """What is known of them."""
        return known_models()

    def admits(self, model: str) -> bool:
        """Any: that is for `manifest` to find out."""
        return bool(model)

    def base_of(self, model: str) -> str | None:
        """As recorded.

        Raises:
            KeyError: nothing is known of the model.
        """
        return self.known[model].base


def foretell(
    params: Params, train: StageRecord | None, *, same_images: bool, candidates: Reported | None = None
) -> Base:
    """The base of the next training; if it has seen no image that is held out now, unless `candidates` look into that.

    Raises:
        RecordError: nobody has judged the recorded model yet, or dvc.lock says nothing of the model that is here.
        KeyError: a model that is refused, and whose base no commit here records.
    """
    return select(Situation.of(params, train, same_images=same_images), candidates or Reported())


class Heir(NamedTuple):
    """The model that a training on other images than the last one's starts from."""

    model: str | None
    """Its hash; None where every model is refused."""
    why: str
    """Why it is not the last one; empty where it is."""
    is_final: bool = False
    """Whether nobody can accept the last one any more."""


def heir(train: StageRecord) -> Heir:
    """The heir of the model that dvc.lock records as made by `train`, if no image that it has seen is held out now.

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
