"""The effect of data/classes.csv on a model's classes depends on which classes have images now."""

import pytest

from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.splits.classes import changes_of_classes

SPLIT = [("pet", "cat"), ("pet", "dog")]


@pytest.mark.parametrize(
    ("rows", "before", "now", "expected"),
    [
        ([], "a b", "a b c", ""),
        ([("a", "b"), ("b", "c")], "a x", "c x", "a renamed to c"),
        ([("a", "b"), ("b", "c")], "b x", "c x", "b renamed to c"),
        ([("a", "b"), ("b", "c")], "c x", "c x", ""),
        ([("a", "b")], "a b", "b", "a and b merged into b"),
        ([("a", "b")], "a x", "x", ""),  # It has no training image now.
        ([("a", "c"), ("b", "c")], "a b", "c x", "a and b merged into c"),
        ([("a", "")], "a b", "b", "a dropped"),
        (SPLIT, "pet x", "pet x", ""),  # Nothing is relabelled yet.
        (SPLIT, "pet x", "cat dog x", "pet split into cat and dog"),
        (SPLIT, "pet x", "cat dog pet x", "pet split into cat, dog and pet"),
        (SPLIT, "pet cat x", "cat dog pet x", "pet split into dog and pet"),  # The class cat has its own row.
        (SPLIT, "cat dog x", "cat dog x", ""),
        ([*SPLIT, ("cat", "tom")], "pet x", "tom dog x", "pet split into dog and tom"),
        ([*SPLIT, ("cat", "tom"), ("dog", "")], "cat dog pet", "tom", "cat renamed to tom, dog dropped"),
        ([("old", "pet"), *SPLIT], "old x", "cat dog x", "old split into cat and dog"),
    ],
)
def test_changes(rows: list[tuple[str, str]], before: str, now: str, expected: str) -> None:
    """Each kind of change is reported correctly, alone and in sequence."""
    assert str(changes_of_classes(ClassMapping(rows), before.split(), now.split())) == expected
