"""Which of two branches' models a merge goes on with.

Git merges each file by itself. All of them ask here, so that all come to the same.
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
    """What Git records of models."""

    records: Mapping[str, Recorded]
    """By hash."""
    judgements: Mapping[str, Judgement]
    """What people have decided on either side, by hash; who refused a model is right."""

    @classmethod
    def read(cls) -> Self:
        """All that any commit records, those that are being merged included.

        Raises:
            RecordError: what people decided cannot be read.
        """
        versions = contents((head, paths.ACCEPTED) for head in ("HEAD", *merge_heads()))
        judged = [item for version in versions if version for item in parse_judgements(version, paths.ACCEPTED).items()]
        return cls(recorded_models(), dict(sorted(judged, key=lambda item: item[1].accepted, reverse=True)))

    def rank(self, model: str) -> tuple[bool, float]:
        """The greater of two is of the better model: none that is refused is, whatever it is right on."""
        recorded, judgement = self.records[model], self.judgements.get(model)
        accepted = judgement.accepted if judgement else recorded.accepted is not False
        return accepted, recorded.validation or 0.0

    def before(self, model: str) -> set[str]:
        """The models that this one descends from, and those that its lineage names as merged."""
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
    """Whose model is the one to go on with: the only new one, else the one that comes of the other, else the better.

    Raises:
        MergeError: nothing is known of one of them.
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
    """Those of `models` that the next training, from the model `kept`, has to name: what none of the rest comes of."""
    distinct = dict.fromkeys(models)
    named = {kept}.union(*(known.before(model) for model in (kept, *distinct)))
    return tuple(model for model in distinct if model not in named)
