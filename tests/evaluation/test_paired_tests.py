"""Exact tests on paired answers, against hand-computed cases and brute force over all outcomes."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, multinomial, norm

from pipeline.evaluation import paired_tests
from pipeline.evaluation.paired_tests import (
    OUTSIDE,
    Counts,
    difference_p_value,
    drop_p_value,
    flips_p_value,
    smallest_drop,
)


@st.composite
def pairs(draw: st.DrawFn) -> Counts:
    """Draw any counts of up to 300 images."""
    images = draw(st.integers(1, 300))
    before = draw(st.integers(0, images))
    return Counts(images, before, draw(st.integers(0, before)), draw(st.integers(0, images - before)))


TOLERATED = st.floats(0, 0.5)


def outcomes(images: int) -> list[tuple[int, int]]:
    """Return all pairs of lost and gained images."""
    return [(lost, gained) for lost in range(images + 1) for gained in range(images + 1 - lost)]


def test_after() -> None:
    """Of 8 right images 3 are lost, and 1 is gained."""
    assert Counts(10, 8, 3, 1).after == 6


def test_difference_is_mcnemars_exact_test() -> None:
    """Of 8 flips 1 or 7 are to one side: 2 × (1 + 8) / 2⁸; equal numbers, or none, are not significant."""
    assert difference_p_value(Counts(100, 50, 1, 7)) == pytest.approx(18 / 256)
    assert difference_p_value(Counts(100, 50, 7, 1)) == pytest.approx(18 / 256)
    assert difference_p_value(Counts(100, 50, 4, 4)) == pytest.approx(1)
    assert difference_p_value(Counts(0, 0, 0, 0)) == 1


def test_flips_are_the_bound_of_clopper_and_pearson() -> None:
    """The p-value is below 5 % exactly if the one-sided 95 % bound is above the tolerance."""
    for lost in range(41):
        low = binomtest(lost, 40, alternative="greater").proportion_ci(0.95, "exact").low
        for tolerated in (0.0, 0.05, 0.1, 0.5):
            assert (flips_p_value(Counts(40, 40, lost, 0), tolerated) < 0.05) == (low > tolerated)


@pytest.mark.parametrize(("images", "tolerated"), [(1, 0.01), (3, 0.01), (5, 0.1), (9, 0.0)])
def test_loss_of_all_images(images: int, tolerated: float) -> None:
    """The probability that the base has all right and the model none is at most ((1 + tolerated) / 2) ^ images."""
    expected = ((1 + tolerated) / 2) ** images + OUTSIDE
    assert drop_p_value(Counts(images, images, images, 0), tolerated) == pytest.approx(expected)


@pytest.mark.parametrize("tolerated", [0.0, 0.01, 0.1])
@pytest.mark.parametrize("images", [6, 15])
def test_noise_refuses_no_more_often_than_said(images: int, tolerated: float) -> None:
    """For any disagreement, a tolerated drop has a p-value of at most 5 % in at most 5 % of cases."""
    refused = [
        [lost, gained, images - lost - gained]
        for lost, gained in outcomes(images)
        if drop_p_value(Counts(images, images - gained, lost, gained), tolerated) <= 0.05
    ]
    assert refused
    for drop in {tolerated, tolerated / 2, 0.0}:
        for differ in np.linspace(max(drop, 1e-3), 1, 41):
            shares = [(differ + drop) / 2, (differ - drop) / 2, 1 - differ]
            assert multinomial.pmf(refused, images, np.clip(shares, 0, 1)).sum() <= 0.05 + 1e-9


def test_many_images_agree_with_the_score_test() -> None:
    """With many images the test equals Tango's, whose error is (lost + gained - drop²n)/n² here, up to rounding."""
    images, lost, gained, tolerated = 100_000, 30_000, 28_800, 0.01
    z = (lost - gained - images * tolerated) / np.sqrt(lost + gained)
    assert drop_p_value(Counts(images, 60_000, lost, gained), tolerated) == pytest.approx(norm.sf(z), abs=2e-3)


def test_without_gains_it_is_nearly_binomial() -> None:
    """If the model gained nothing, no test on the lost images alone can be much more significant."""
    p_value = drop_p_value(Counts(399, 399, 12, 0), 0.01)
    assert binom.sf(11, 399, 0.01) <= p_value < 5 * binom.sf(11, 399, 0.01)


@given(pairs(), TOLERATED)
@example(Counts(103, 0, 0, 1), 2.2351302394990823e-184)  # The variance falls below zero by rounding.
@settings(max_examples=50)
def test_p_values_are_probabilities(counts: Counts, tolerated: float) -> None:
    """A drop within the tolerance is never significant; of a model and its base at most one fell."""
    images, before, lost, gained = counts
    p_value = drop_p_value(counts, tolerated)
    assert 0 <= p_value <= 1
    assert 0 <= flips_p_value(counts, tolerated) <= 1
    swapped = drop_p_value(Counts(images, before - lost + gained, gained, lost), tolerated)
    assert 1 in {p_value, swapped}
    if lost - gained <= images * tolerated:
        assert p_value == 1


@given(pairs(), TOLERATED)
@example(Counts(images=2, before=2, lost=1, gained=0), 0.15179570832491787)  # Rounding makes a share larger than one.
@settings(max_examples=50)
def test_more_lost_is_surer(counts: Counts, tolerated: float) -> None:
    """One more lost image, or one less gained, never increases the p-value, except for the added chance."""
    images, before, lost, gained = counts
    p_value = drop_p_value(counts, tolerated)
    if lost < before:
        assert drop_p_value(Counts(images, before, lost + 1, gained), tolerated) <= p_value * 1.05 + 2 * OUTSIDE
    if gained:
        assert drop_p_value(Counts(images, before, lost, gained - 1), tolerated) <= p_value * 1.05 + 2 * OUTSIDE


@pytest.mark.parametrize("images", [1, 4, 5, 6, 30, 100])
@pytest.mark.parametrize("gained", [0, 1, 10])
def test_smallest_drop(images: int, gained: int) -> None:
    """It is the smallest significant drop; None if even the loss of all other images is not significant."""
    if gained > images:
        return
    sure = [
        (lost - gained) / images
        for lost in range(images - gained + 1)
        if drop_p_value(Counts(images, images - gained, lost, gained), 0.01) < 0.05
    ]
    assert smallest_drop(images, gained, 0.01, 0.05) == (sure[0] if sure else None)


@pytest.mark.parametrize("gained", [200, 2000])
def test_smallest_drop_takes_few_tests(gained: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """For 10,000 images, where a test is slow, three tests are enough instead of a search."""
    done = []

    def counted(counts: Counts, tolerated: float) -> float:
        done.append(counts.lost)
        return drop_p_value(counts, tolerated)

    monkeypatch.setattr(paired_tests, "drop_p_value", counted)
    drop = smallest_drop(10_000, gained, 0.01, 0.05)
    assert drop is not None
    assert len(done) <= 3
    lost = gained + round(drop * 10_000)
    p_values = [drop_p_value(Counts(10_000, 10_000 - gained, near, gained), 0.01) for near in (lost - 1, lost)]
    assert p_values[1] < 0.05 <= p_values[0]
