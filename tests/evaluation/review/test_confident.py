"""Confident learning, with hand-computed cases."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.review.confident import contradictions, thresholds

# Two classes; the third image is labelled 0, and looks like class 1.
CODES = np.array([0, 0, 0, 1, 1])
SHARES = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6], [0.2, 0.8]])


def test_hand_worked_case() -> None:
    """Class 0 counts from 0.6 on, class 1 from 0.7: the third image is of class 1, by 0.6; the fourth is of none."""
    least = thresholds(CODES, SHARES)
    assert np.allclose(least, [0.6, 0.7])
    found = contradictions(CODES, SHARES, least)
    assert found.suggested.tolist() == [-1, -1, 1, -1, -1]
    assert np.allclose(found.margin, [0, 0, 0.6, 0, 0])


def test_a_label_that_the_model_does_not_know_is_not_contradicted() -> None:
    """A label that the model does not know is neither contradicted nor used for thresholds."""
    codes = np.array([*CODES, -1])
    shares = np.array([*SHARES, [0, 1]])
    assert np.allclose(thresholds(codes, shares), [0.6, 0.7])
    assert contradictions(codes, shares, np.zeros(2)).suggested[-1] == -1


def test_a_class_without_images_is_not_suggested() -> None:
    """A class without images has no threshold, and is not suggested."""
    shares = np.column_stack([SHARES / 2, np.full(5, 0.5)])
    assert 2 not in contradictions(CODES, shares, thresholds(CODES, shares)).suggested


def test_no_images() -> None:
    """Without images there are no suggestions."""
    codes, shares = np.empty(0, np.intp), np.empty((0, 3))
    assert len(contradictions(codes, shares, thresholds(codes, shares)).suggested) == 0


@given(st.integers(0, 1000), st.integers(2, 6))
def test_what_is_suggested_is_likelier_than_the_label(seed: int, classes: int) -> None:
    """A suggestion is more likely than the label by the margin, and reaches its class's threshold."""
    chance = np.random.default_rng(seed)
    codes, shares = chance.integers(0, classes, 40), chance.dirichlet(np.ones(classes), 40)
    least = thresholds(codes, shares)
    found = contradictions(codes, shares, least)
    rows = np.flatnonzero(found.suggested >= 0)
    suggested = shares[rows, found.suggested[rows]]
    assert np.allclose(suggested - shares[rows, codes[rows]], found.margin[rows])
    assert (found.margin[rows] > 0).all()
    assert (suggested >= least[found.suggested[rows]]).all()
