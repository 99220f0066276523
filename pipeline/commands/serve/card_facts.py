"""Collect what is recorded about a model in its folder, in data/report, and in Git's history."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline import paths
from pipeline.commands.serve.preprocessing import recorded_ingest
from pipeline.lineage.ancestors import Past, known_ancestors
from pipeline.lineage.lineage import Lineage, read_lineage, read_recorded
from pipeline.lineage.recorded_metrics import Metrics, read_metrics
from pipeline.lineage.seen_images import read_seen
from pipeline.models.checkpoint import read_checkpoint, spec_of
from pipeline.models.network import Spec
from pipeline.params import Ingest, Params
from pipeline.versioning import hashing


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """Recorded facts about a model."""

    oid: str
    """The model's hash in dvc.lock."""
    spec: Spec
    ingest: Ingest
    lineage: Lineage
    images: Mapping[str, int]
    """Number of images of each class in the last training."""
    earlier: int
    """Number of further images that the model's bases were trained on."""
    metrics: Metrics | None
    """Metrics of the last evaluation; None if it evaluated another model."""
    left_out: int | None
    """Number of near-duplicates left out of validation and test; None if not recorded for this model."""
    refused: int | None
    """Number of files in data/raw that could not be used; None if not recorded for this model."""
    ancestors: Sequence[Past]
    """The model's base, the base's base and so on, as far as Git's history contains them."""


def gather(model: Path, params: Params) -> CardFacts:
    """Collect the recorded facts about the model in the folder `model`.

    Raises:
        CheckpointError: the model is damaged.
        RecordError: a record cannot be read.
    """
    spec = spec_of(read_checkpoint(model), model)
    oid, lineage, seen = hashing.directory_hash(model) or "", read_lineage(model), read_seen(model)
    recorded = read_recorded()
    is_current = recorded is not None and recorded.model == oid
    counts = seen.labels.value_counts()
    return CardFacts(
        oid=oid,
        spec=spec,
        ingest=recorded_ingest(params, mode=spec.mode),
        lineage=lineage,
        images={name: int(counts.get(name, 0)) for name in spec.classes},
        earlier=len(seen.earlier),
        metrics=read_metrics() if is_current else None,
        left_out=_lines(paths.LEAKS) if is_current else None,
        refused=_lines(paths.REFUSED) if is_current else None,
        ancestors=known_ancestors(lineage.base)[::-1],
    )


def _lines(path: Path) -> int | None:
    if not path.exists():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        return sum(1 for _ in csv.DictReader(file))
