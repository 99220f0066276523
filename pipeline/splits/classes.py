"""Which classes of a model are which ones now, by data/classes.csv."""

from collections.abc import Collection, Iterable

from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.lineage.class_changes import ClassChanges


def changes_of_classes(mapping: ClassMapping, before: Iterable[str], now: Collection[str]) -> ClassChanges:
    """What `mapping` makes of the classes `before`, those of a model, where the images for training have those `now`.

    A class that is renamed comes of that model's own one, if it has one; else of those that were split for it.
    """
    labels = {was: mapping.label(was) for was in before}
    wanted, kept = set(now), set(labels.values())
    pairs = [(was, "") for was, label in labels.items() if label is None]
    pairs += [(was, label) for was, label in labels.items() if label in wanted]
    for was in labels:
        pairs += [(was, name) for name in mapping.descendants(was) if name in wanted and name not in kept]
    return ClassChanges.of(pairs)
