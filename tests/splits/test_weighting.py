"""The weights of images, from the index into the manifests, and what has changed about them."""

import json

import pandas as pd
import pyarrow as pa
import pytest
from splits.test_groups import asked

from pipeline.errors import ImagesError
from pipeline.lineage.seen_images import SeenImages
from pipeline.splits.changes import list_changes, uneven
from pipeline.splits.copies import copy_notices
from pipeline.splits.slices import NO_GENERATIONS, slices_of
from pipeline.splits.weighting import weights_of, written_weights


def images(*cells: str | None) -> pa.Table:
    """Images whose cells in the column `weight` are these, None where labels.csv says nothing."""
    texts = ["" if cell is None else json.dumps({"camera": "left", "weight": cell}) for cell in cells]
    return pa.table(
        {"id": list("abcdef")[: len(cells)], "source": [f"{n}.png" for n in range(len(cells))], "attributes": texts}
    )


def test_weights() -> None:
    """1 where nothing is said, whatever else labels.csv has; in the index in several pieces, too."""
    table = pa.concat_tables([images(None, "0.5"), images("0.5", "0", "1")])
    assert weights_of(table).tolist() == [1, 0.5, 0.5, 0, 1]


def test_what_an_earlier_release_took_in() -> None:
    """A column of that name meant nothing then; now it is an error that names an image."""
    with pytest.raises(ImagesError, match=r"labels.csv: the weight of 1.png is '12 kg'; write 0"):
        weights_of(images(None, "12 kg"))


def test_column_of_manifest() -> None:
    """There is none where all are 1; else a cell reads as the same number."""
    assert written_weights(weights_of(images(None, "1.0"))) is None
    assert written_weights(weights_of(images(None, "2.50", "1e-6"))) == ["1", "2.5", "1e-06"]


def test_no_slice() -> None:
    """Test images are not measured by weight."""
    test = images("0.5").select(["id", "attributes"]).to_pandas()
    assert list(slices_of(test, NO_GENERATIONS, 1).columns) == ["id", "generation", "camera"]


def test_changes() -> None:
    """An image with another weight has a line with the one that it had; one that is relabelled, too, has both."""
    ids = pd.Index(["a", "b", "c"], dtype=str)
    before = SeenImages(
        labels=pd.Series(["cat"] * 3, ids, dtype=str),
        earlier=pd.Index([], dtype=str),
        weights=uneven(ids, weights_of(images("2", None, "0.5"))),
    )
    now = pd.Series(["dog", "cat", "cat"], ids, dtype=str)
    changes = list_changes(before, now, uneven(ids, weights_of(images(None, "3", "0.5"))))
    assert [tuple(row.values()) for row in changes.to_pylist()] == [
        ("new class", "", "dog", ""),
        ("relabelled", "a", "dog", "cat"),
        ("reweighted", "a", "dog", "2"),
        ("reweighted", "b", "cat", "1"),
    ]


def test_copies_with_several_weights() -> None:
    """The first place by name counts, which is said."""
    table = images("2", "0.5").set_column(0, "id", pa.array(["a", "a"]))
    assert copy_notices(table, asked(None)) == [
        "copies of 1 image have several weights, and the first place by name counts: 0.png in 2, 1.png in 0.5"
    ]
