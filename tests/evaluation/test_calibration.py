"""Expected calibration error, by hand and by its properties."""

from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error

from pipeline.evaluation.calibration import BINS, calibration_error, reliability

Answers = list[tuple[bool, float]]
answers = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=60)


def error(given_answers: Answers) -> float:
    """Return the error of answers, each right or wrong with a confidence."""
    right, confidence = zip(*given_answers, strict=True)
    return calibration_error(np.array(right), np.array(confidence))


@pytest.mark.parametrize(
    ("given_answers", "expected"),
    [
        ([(True, 1.0), (True, 1.0)], 0),
        ([(False, 1.0)], 1),
        ([(True, 0.5), (False, 0.5)], 0),
        # Two bins: in that of 0.5 two of three are right, in that of 0.8 one of two.
        ([(True, 0.5), (True, 0.5), (False, 0.5), (True, 0.8), (False, 0.8)], 3 / 5 * (2 / 3 - 0.5) + 2 / 5 * 0.3),
        # One bin: 0.81 and 0.85 are both above 12/15 and at most 13/15.
        ([(True, 0.81), (False, 0.85)], 0.83 - 0.5),
        # Two bins, since 0.8 is 12/15, and belongs to the lower one.
        ([(True, 0.8), (False, 0.81)], (0.2 + 0.81) / 2),
    ],
)
def test_hand_worked(given_answers: Answers, expected: float) -> None:
    """The error is the mean over images of the distance between confidence and accuracy in their bin."""
    assert error(given_answers) == pytest.approx(expected)


@given(answers)
def test_bounds(given_answers: Answers) -> None:
    """The error is at most 1, and at least the distance of mean confidence and accuracy."""
    right, confidence = np.array(given_answers, dtype=float).T
    assert abs(right.mean() - confidence.mean()) - 1e-9 <= error(given_answers) <= 1


@given(answers, st.randoms(use_true_random=False))
def test_order_does_not_matter(given_answers: Answers, random: Random) -> None:
    """The error does not depend on the order, nor on repeating all answers."""
    mixed = list(given_answers)
    random.shuffle(mixed)
    assert error(mixed) == pytest.approx(error(given_answers))
    assert error(mixed + given_answers) == pytest.approx(error(given_answers))


@given(answers)
def test_bins_hold_all(given_answers: Answers) -> None:
    """Each image is in the bin of its confidence, whatever the number of empty bins."""
    right, confidence = zip(*given_answers, strict=True)
    bins = reliability(np.array(right), np.array(confidence))
    assert len(bins) == BINS
    assert bins["count"].sum() == len(given_answers)
    filled = bins[bins["count"] > 0]
    assert (filled["confidence"] >= filled.index / BINS - 1e-9).all()
    assert (filled["confidence"] <= (filled.index + 1) / BINS + 1e-9).all()
    assert bins[bins["count"] == 0][["confidence", "accuracy"]].isna().all(axis=None)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, BINS - 1), st.floats(0.05, 0.95)), min_size=1, max_size=60))
@settings(max_examples=50)
def test_same_as_torchmetrics(drawn: list[tuple[bool, int, float]]) -> None:
    """The error equals torchmetrics', except for confidences on edges, which it puts into another bin."""
    right = np.array([one for one, _, _ in drawn])
    confidence = np.array([(place + share) / BINS for _, place, share in drawn])
    # With so many classes the first is always the most likely, whatever the confidence, right or wrong.
    shares = torch.tensor((1 - confidence) / 999).repeat(1000, 1).T
    shares[:, 0] = torch.tensor(confidence)
    found = multiclass_calibration_error(shares, torch.tensor(~right).long(), num_classes=1000, n_bins=BINS, norm="l1")
    assert calibration_error(right, confidence) == pytest.approx(float(found), abs=1e-5)
