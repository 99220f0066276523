"""Changes of a model's classes, applied to labels, probabilities and rows of its head."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.lineage.class_changes import ClassChanges
from pipeline.lineage.seen_images import SeenImages
from pipeline.versioning.weights import NEUTRAL

CHANGES = ClassChanges.of(
    [("a", "A"), ("b", "bc"), ("c", "bc"), ("d", "d"), ("e", "e"), ("e", "f"), ("g", ""), ("h", "i"), ("i", "i")]
)


def test_what_is_the_same_is_not_listed() -> None:
    """There is a row for each class that changed, and for the classes that it is merged with."""
    rows = [("a", "A"), ("b", "bc"), ("c", "bc"), ("e", "e"), ("e", "f"), ("g", ""), ("h", "i"), ("i", "i")]
    assert list(CHANGES.rows) == rows
    assert not ClassChanges.of([("a", "a"), ("b", "b")]).rows


def test_words() -> None:
    """Each kind of change has its own wording; without changes the text is empty."""
    assert str(CHANGES) == (
        "b and c merged into bc, h and i merged into i, a renamed to A, e split into e and f, g dropped"
    )
    assert CHANGES.as_news() == f"; classes: {CHANGES}"
    assert (str(ClassChanges()), ClassChanges().as_news()) == ("", "")


def test_file(tmp_path: Path) -> None:
    """The file is read back as written; without changes it equals a missing file."""
    path = tmp_path / "classes.csv"
    path.write_text(CHANGES.to_text(), encoding="utf-8")
    assert ClassChanges.read(path) == CHANGES
    assert ClassChanges.read(tmp_path / "none") == ClassChanges()
    assert ClassChanges().to_text() == NEUTRAL["data/manifest/classes.csv"]


def test_labels() -> None:
    """Labels of renamed and merged classes become the current names; other labels do not change."""
    labels = pd.Series(list("abcdeghz"), index=[f"{number:032x}" for number in range(8)], dtype=str)
    assert CHANGES.relabel(labels).tolist() == ["A", "bc", "bc", "d", "e", "g", "i", "z"]
    assert ClassChanges().relabel(labels) is labels
    seen = SeenImages(labels=labels, earlier=pd.Index([], dtype=str)).renamed(CHANGES)
    counts = seen.compare(
        pd.Series(["A", "bc", "bc", "d", "f", "i"], index=labels.index[[0, 1, 2, 3, 4, 6]], dtype=str)
    )
    assert (counts.new, counts.removed, counts.relabelled) == (0, 2, 1)


def test_probabilities() -> None:
    """Probabilities of merged classes are summed; rows sum to 1."""
    shares = pd.DataFrame(np.random.default_rng(0).dirichlet(np.ones(9), 5), columns=list("abcdefghi"))
    merged = CHANGES.merge_columns(shares)
    assert list(merged.columns) == ["A", "bc", "d", "e", "f", "g", "i"]
    np.testing.assert_array_equal(merged["A"], shares["a"])
    np.testing.assert_array_equal(merged["bc"], shares["b"] + shares["c"])
    np.testing.assert_allclose(merged.sum(axis=1), 1)
    assert ClassChanges().merge_columns(shares) is shares
    assert CHANGES.merge_columns(shares[:0]).shape == (0, 7)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ("abc", ["A", "bc"], {"A": [0], "bc": [1, 2]}),
        ("cab", ["bc", "A", "new"], {"bc": [0, 2], "A": [1]}),
        ("eg", ["e", "f"], {"e": [0], "f": [0]}),
        ("eg", ["f"], {"f": [0]}),
        ("hdi", ["d", "i"], {"i": [0, 2], "d": [1]}),
    ],
)
def test_origins(before: str, now: list[str], expected: dict[str, list[int]]) -> None:
    """Return for each class the places in the old head that it comes from, in the old order."""
    found = CHANGES.origins(list(before), now)
    assert (found, list(found)) == (expected, list(expected))
