"""What the classes of a model have become, by data/classes.csv."""

from collections.abc import Collection, Iterable

from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.lineage.class_changes import ClassChanges


def changes_of_classes(mapping: ClassMapping, before: Iterable[str], now: Collection[str]) -> ClassChanges:
    """Map a model's classes `before` to the classes `now` of the training images, by `mapping`.

    A class of the mapping comes from the model's class that was renamed to it, else from the classes split into it.
    """
    labels = {was: mapping.label(was) for was in before}
    wanted, kept = set(now), set(labels.values())
    pairs = [(was, "") for was, label in labels.items() if label is None]
    pairs += [(was, label) for was, label in labels.items() if label in wanted]
    for was in labels:
        pairs += [(was, name) for name in mapping.descendants(was) if name in wanted and name not in kept]
    return ClassChanges.of(pairs)
