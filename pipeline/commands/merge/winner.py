"""Decides which of two branches' models a merge keeps.

Git merges each file separately. The merges of all files use this module, so that they choose the same side.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

from pipeline import paths
from pipeline.commands.merge.listings import Side
from pipeline.errors import MergeError
from pipeline.git import contents, merge_heads
from pipeline.lineage.acceptance import Judgement, parse_judgements
from pipeline.lineage.known_models import recorded_models
from pipeline.lineage.lineage import RECORDED, Recorded


class KnownModels(NamedTuple):
    """Git's records of models."""

    records: Mapping[str, Recorded]
    """The lineage of each model, by hash."""
    judgements: Mapping[str, Judgement]
    """People's decisions on both sides, by hash; a refusal takes precedence."""

    @classmethod
    def read(cls) -> Self:
        """Read all models that any commit records, including the commits that are being merged.

        Raises:
            RecordError: people's decisions cannot be read.
        """
        versions = contents((head, paths.ACCEPTED) for head in ("HEAD", *merge_heads()))
        judged = [item for version in versions if version for item in parse_judgements(version, paths.ACCEPTED).items()]
        return cls(recorded_models(), dict(sorted(judged, key=lambda item: item[1].accepted, reverse=True)))

    def rank(self, model: str) -> tuple[bool, float]:
        """Return a sort key, greater for the better model: accepted models first, then by validation accuracy."""
        recorded, judgement = self.records[model], self.judgements.get(model)
        accepted = judgement.accepted if judgement else recorded.accepted is not False
        return accepted, recorded.validation or 0.0

    def before(self, model: str) -> set[str]:
        """Return all models that `model` descends from, by base or by merge."""
        found: set[str] = set()
        ahead = [model]
        while ahead:
            recorded = self.records.get(ahead.pop())
            if recorded is not None:
                named = {*recorded.merged, *([recorded.base] if recorded.base else [])} - found
                found |= named
                ahead += named
        return found


def better(ancestor: str | None, ours: str | None, theirs: str | None, known: KnownModels) -> Side:
    """Return the side whose model is kept: the only new one, else the descendant of the other, else the better one.

    Raises:
        MergeError: nothing is known of one of the models.
    """
    if theirs in (ours, ancestor, None) or theirs is None:
        return "ours"
    if ours in (ancestor, None) or ours is None:
        return "theirs"
    for model in {ours, theirs} - known.records.keys():
        what = f"no commit says how good the model {model} is"
        raise MergeError(paths.LOCK, what, f"commit {RECORDED} with it, or `git fetch` the branch that it is from")
    if theirs in known.before(ours) or ours in known.before(theirs):
        return "ours" if theirs in known.before(ours) else "theirs"
    return "theirs" if known.rank(theirs) > known.rank(ours) else "ours"


def unnamed(models: Iterable[str], kept: str, known: KnownModels) -> tuple[str, ...]:
    """Return the `models` that the next training, from `kept`, has to list: those that no other one descends from."""
    distinct = dict.fromkeys(models)
    named = {kept}.union(*(known.before(model) for model in (kept, *distinct)))
    return tuple(model for model in distinct if model not in named)
