"""What is recorded of a model: in its folder, in data/report, and in Git's history."""

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
    """What is recorded of a model."""

    oid: str
    """The hash that dvc.lock records for it."""
    spec: Spec
    ingest: Ingest
    lineage: Lineage
    images: Mapping[str, int]
    """How many images of each class it was last trained on."""
    earlier: int
    """How many more its bases were trained on."""
    metrics: Metrics | None
    """What was measured, where that is of this model."""
    left_out: int | None
    """Near-duplicates left out of validation and test, where that is recorded of this model."""
    refused: int | None
    """Files of data/raw that could not be used, likewise."""
    ancestors: Sequence[Past]
    """Its base, the base's base and so on, as far as Git's history goes."""


def gather(model: Path, params: Params) -> CardFacts:
    """What is recorded of the model in the folder `model`.

    Raises:
        CheckpointError: it is damaged.
        RecordError: what is recorded cannot be read.
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
