"""`pipeline accept` and `refuse`: override the gate's decision on whether a model may be the next base."""

import argparse
from typing import TYPE_CHECKING

from pipeline import paths
from pipeline.commands.parsing import Register
from pipeline.errors import RecordError
from pipeline.text import shown

if TYPE_CHECKING:
    from pipeline.lineage.lineage import Recorded
    from pipeline.versioning.lock import StageRecord


MODEL = paths.MODEL.as_posix()
# Minimum number of digits of a model's hash; a shorter prefix is too ambiguous.
FEWEST_DIGITS = 4


def register(command: Register) -> None:
    """Add `pipeline accept` and `pipeline refuse`."""
    for run, about in (
        (_accept, "accept a model as the next base, overriding the gate"),
        (_refuse, "refuse a model as the next base, overriding the gate"),
    ):
        sub = command(run, about)
        help_ = "a revision, or the first digits of a model's hash; default: the model that dvc.lock records"
        sub.add_argument("model", nargs="?", metavar="REV|MODEL", help=help_)
        sub.add_argument("--why", required=True, metavar="TEXT", help="the reason, in a few words")


def _accept(args: argparse.Namespace) -> int:
    return _judge(args, accepted=True)


def _refuse(args: argparse.Namespace) -> int:
    return _judge(args, accepted=False)


def _judge(args: argparse.Namespace, *, accepted: bool) -> int:
    from pipeline.lineage.acceptance import Judgement, read_judgements, write_judgements
    from pipeline.lineage.known_models import known_models
    from pipeline.versioning.lock import read_record

    why = shown(" ".join(args.why.split()))
    if not why:
        raise RecordError("--why", "is empty", "give the reason in a few words")
    train = read_record().get("train")
    last = train.outs.get(MODEL) if train else None
    known = known_models()
    model = _resolve(args.model, last, known)
    write_judgements({**read_judgements(), model: Judgement(accepted=accepted, why=why)})
    generation = f" (generation {known[model].generation})" if model in known else ""
    print(f"{'accepted' if accepted else 'refused'} {model[:8]}…{generation}: {why}")
    if train is not None and last is not None:
        print(f"next base, when images have changed: {_next_base(train)}")
    print(f"next: git add {paths.ACCEPTED} && git commit")
    return 0


def _resolve(name: str | None, last: str | None, known: "dict[str, Recorded]") -> str:
    """Return the hash of the model that `name` stands for."""
    from pipeline.lineage.history import recorded_at

    if name is None:
        if last is None:
            raise RecordError(paths.LOCK, "records no training", "run `dvc repro`, or name a revision")
        return last
    digits = name.removesuffix("…")
    found = {model for model in {*known, *([last] if last else [])} if model.startswith(digits)}
    found = found if len(digits) >= FEWEST_DIGITS else set()
    at = recorded_at(name)
    found |= {at.model} if at else set()
    if len(found) == 1:
        return found.pop()
    what = f"stands for {len(found)} models" if found else "neither a revision that records a model nor a model's hash"
    raise RecordError(shown(name), what, "`pipeline log` lists models and commits")


def _next_base(train: "StageRecord") -> str:
    from pipeline.lineage.foretelling import heir

    try:
        model = heir(train).model
    except RecordError as error:
        return f"not known yet: {error}"
    except KeyError as unknown:
        return f"the base of {unknown.args[0][:8]}…, or an earlier ancestor; no local commit records that model"
    return f"{model[:8]}…" if model else "none; training starts from scratch"
