"""Tests for drift: alarms for real differences, few false alarms, and none for small differences."""

from collections import Counter

import numpy as np
import pytest

from pipeline.evaluation.review.drift import FEWEST, Floats, images_differ, pairs_of, shares_differ, standardised

SIZES = [FEWEST, 100, 400]


def sample(seed: int, count: int, shift: float = 0) -> Floats:
    """Return vectors whose first coordinate is shifted."""
    rows = np.random.default_rng(seed).normal(size=(count, 4))
    rows[:, 0] += shift
    return rows


@pytest.mark.parametrize("count", SIZES)
def test_false_alarms(count: int) -> None:
    """For two samples of one source the rate of false alarms is within the limit."""
    classes = np.arange(count) % 3
    classes.sort()
    alarms = sum(images_differ(*standardised(sample(k, count), sample(1000 + k, count)), classes) for k in range(40))
    assert alarms <= 2


@pytest.mark.parametrize("count", SIZES)
def test_alarms(count: int) -> None:
    """A shift of two standard deviations is detected in a few images."""
    classes = np.zeros(count, np.intp)
    assert all(images_differ(*standardised(sample(k, count, 2), sample(1000 + k, count)), classes) for k in range(5))


def test_too_little_to_speak_of() -> None:
    """A twelfth of a standard deviation in one coordinate is ignored, for any number of images."""
    classes = np.zeros(500, np.intp)
    alarms = [images_differ(*standardised(sample(k, 500, 1 / 12), sample(99 + k, 500)), classes) for k in range(10)]
    assert not any(alarms)


def test_another_mixture_of_classes_is_no_difference() -> None:
    """Equal numbers of each class are compared; a class on one side only is left out."""
    new, known = np.array(["a"] * 30 + ["b"] * 3 + ["c"] * 9), np.array(["b"] * 50 + ["a"] * 10 + ["d"] * 9)
    pairs = pairs_of(new, known)
    assert Counter(new[pairs.new].tolist()) == Counter(known[pairs.known].tolist()) == {"a": 10, "b": 3}
    assert not pairs.are_enough
    assert not pairs_of(new[:0], known).are_enough


def test_shares() -> None:
    """A class that dominates the new images is reported; chance differences and three images are not."""
    known = Counter(cat=500, dog=500)
    assert shares_differ(Counter(cat=95, dog=5), known) == (
        "class 'cat' is 95 % of the new images, and 50 % of the known ones"
    )
    assert "class 'emu' is 100 %" in shares_differ(Counter(emu=30), known)
    assert shares_differ(Counter(cat=3), known) == ""
    assert shares_differ(Counter(cat=52, dog=48), known) == ""


def test_a_small_difference_of_shares_in_many_images() -> None:
    """A significant but small difference of shares in many images is ignored."""
    assert shares_differ(Counter(cat=530_000, dog=470_000), Counter(cat=500_000, dog=500_000)) == ""


def test_false_alarms_of_shares() -> None:
    """For equal sources the rate of false alarms is within the limit."""
    chance = np.random.default_rng(0)
    alarms = 0
    for _ in range(60):
        ones, others = (chance.multinomial(size, np.ones(10) / 10) for size in (30, 300))
        named = [Counter(dict(zip("abcdefghij", map(int, counts), strict=True))) for counts in (ones, others)]
        alarms += bool(shares_differ(*named))
    assert alarms <= 2
