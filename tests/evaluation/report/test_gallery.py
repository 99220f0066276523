"""The choice of images that the report shows."""

from collections import Counter

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.reported import drawn

from pipeline.evaluation.report import gallery

ANSWERS = [
    # label, predicted, confidence, base_predicted
    ("cat", "cat", 0.9, "cat"),
    ("cat", "dog", 0.6, "cat"),
    ("cat", "dog", 0.8, "dog"),
    ("dog", "dog", 0.5, "cat"),
    ("dog", "cat", 0.8, "dog"),
    ("dog", "dog", 0.7, "dog"),
]


@pytest.fixture
def predictions() -> pd.DataFrame:
    """Return a few predictions of each kind."""
    return pd.DataFrame(ANSWERS, columns=["label", "predicted", "confidence", "base_predicted"])


def test_surest_mistakes_come_first(predictions: pd.DataFrame) -> None:
    """The most confident mistakes come first; ties are in the order of ids."""
    assert gallery.mistakes(predictions) == [2, 4, 1]


def test_negative_flips(predictions: pd.DataFrame) -> None:
    """Negative flips are images that only the base has right; without a base there are none."""
    assert gallery.negative_flips(predictions) == [4, 1]
    assert gallery.negative_flips(predictions.drop(columns="base_predicted")) == []


def test_cells(predictions: pd.DataFrame) -> None:
    """Mistakes are sorted by confidence, right answers by lack of confidence."""
    assert gallery.cells(predictions) == {
        ("cat", "cat"): [0],
        ("cat", "dog"): [2, 1],
        ("dog", "cat"): [4],
        ("dog", "dog"): [3, 5],
    }


@given(st.integers(0, 300), st.integers(2, 40), st.floats(0, 1))
def test_choice(images: int, classes: int, wrong: float) -> None:
    """No image is chosen twice; the worst mistakes come first, then one image per cell before any gets a second."""
    predictions = drawn([f"{k}" for k in range(classes)], images, wrong)
    chosen = gallery.choose(gallery.find(predictions))
    assert len(chosen) == len(set(chosen)) <= gallery.MOST
    worst = gallery.mistakes(predictions)[: gallery.LISTED]
    assert chosen[: len(worst)] == worst
    assert set(gallery.negative_flips(predictions)[: gallery.LISTED]) <= set(chosen)
    found = gallery.cells(predictions)
    assert all(rows[0] in chosen for rows in found.values())


def test_bounded() -> None:
    """The numbers of images per cell, in lists, and in total are limited."""
    few = drawn(["cat", "dog"], 10_000, 0.1)
    chosen = gallery.choose(gallery.find(few))
    cells = Counter(zip(few.loc[chosen, "label"], few.loc[chosen, "predicted"], strict=True))
    assert max(cells.values()) <= gallery.IN_CELL + 2 * gallery.LISTED
    assert len(gallery.choose(gallery.find(drawn([f"{k}" for k in range(200)], 10_000, 0.2)))) == gallery.MOST
