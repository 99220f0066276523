"""Image weights, from the index to the manifests, and their changes."""

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
    """Return images with these cells in the column `weight`; None means no line in labels.csv."""
    texts = ["" if cell is None else json.dumps({"camera": "left", "weight": cell}) for cell in cells]
    return pa.table(
        {"id": list("abcdef")[: len(cells)], "source": [f"{n}.png" for n in range(len(cells))], "attributes": texts}
    )


def test_weights() -> None:
    """The default is 1, whatever other columns exist, also for an index in several chunks."""
    table = pa.concat_tables([images(None, "0.5"), images("0.5", "0", "1")])
    assert weights_of(table).tolist() == [1, 0.5, 0.5, 0, 1]


def test_what_an_earlier_release_took_in() -> None:
    """In an index of an earlier release, which ignored the column, an invalid cell is an error that names an image."""
    with pytest.raises(ImagesError, match=r"labels.csv: the weight of 1.png is '12 kg'; write 0"):
        weights_of(images(None, "12 kg"))


def test_column_of_manifest() -> None:
    """The manifest has no column if all weights are 1; else cells read back as the same numbers."""
    assert written_weights(weights_of(images(None, "1.0"))) is None
    assert written_weights(weights_of(images(None, "2.50", "1e-6"))) == ["1", "2.5", "1e-06"]


def test_no_slice() -> None:
    """Weights are not a slice of the test images."""
    test = images("0.5").select(["id", "attributes"]).to_pandas()
    assert list(slices_of(test, NO_GENERATIONS, 1).columns) == ["id", "generation", "camera"]


def test_changes() -> None:
    """A changed weight is listed with the former one; a relabelled image has both."""
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
    """Of copies with several weights the first place by name counts, which is reported."""
    table = images("2", "0.5").set_column(0, "id", pa.array(["a", "a"]))
    assert copy_notices(table, asked(None)) == [
        "copies of 1 image have several weights, and the first place by name counts: 0.png in 2, 1.png in 0.5"
    ]
