"""Copies of an image that disagree about group or split are reported."""

import json

import pyarrow as pa
from splits.test_groups import asked

from pipeline.splits.copies import copy_notices


def places(*some: tuple[str, str, dict[str, str]]) -> pa.Table:
    """Return copies: id, source, and cells of labels.csv."""
    columns = zip(
        *((one, "cat", source, json.dumps(cells) if cells else "") for one, source, cells in some), strict=True
    )
    return pa.table(dict(zip(("id", "label", "source", "attributes"), map(list, columns), strict=True)))


def test_copies_in_two_splits() -> None:
    """Two examples are named, first the one that counts."""
    found = places(("b", "train/cat/2.png", {}), ("b", "test/cat/1.png", {}), ("a", "x.png", {}), ("a", "y.png", {}))
    expected = "copies of 1 image are in several splits, and the first place by name counts: "
    assert copy_notices(found, asked(None, by="folder")) == [
        f"{expected}test/cat/1.png in test, train/cat/2.png in train"
    ]
    assert copy_notices(found, asked(None)) == copy_notices(found, asked(None, by="column")) == []


def test_copies_in_two_groups() -> None:
    """Copies in two groups are reported for any source of groups."""
    found = places(("a", "cat/p2/2.png", {}), ("a", "cat/p1/1.png", {}), ("b", "cat/p1/3.png", {"group": "g"}))
    expected = "copies of 1 image are in several groups, and the first place by name counts: "
    assert copy_notices(found, asked("folder")) == [f"{expected}cat/p1/1.png in p1, cat/p2/2.png in p2"]
    assert copy_notices(found, asked("labels")) == []
