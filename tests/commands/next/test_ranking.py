"""The order in which images are useful to label."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands.next.ranking import rank


def sure(share: float, classes: int = 3, best: int = 0) -> list[float]:
    """Return probabilities with `share` for one class, and equal probabilities for the others."""
    rest = (1 - share) / (classes - 1)
    return [share if place == best else rest for place in range(classes)]


@pytest.mark.parametrize("seed", range(5))
def test_uncertain_images_come_first(seed: int) -> None:
    """Of images at equal distances, the uncertain ones come first."""
    shares = np.array([sure(0.4 if row % 4 == 0 else 0.999) for row in range(40)])
    assert sorted(rank(np.eye(40), shares, 10, seed)) == list(range(0, 40, 4))


@pytest.mark.parametrize("seed", range(5))
def test_near_identical_images_are_not_chosen_twice(seed: int) -> None:
    """Of ten groups of ten nearly identical, equally uncertain images, one image of each is chosen."""
    chance = np.random.default_rng(seed)
    features = np.repeat(np.eye(10), 10, 0) + 1e-4 * chance.normal(size=(100, 10))
    chosen = rank(features, np.array([sure(0.4)] * 100), 10, seed)
    assert sorted(row // 10 for row in chosen) == list(range(10))


def test_the_most_uncertain_one_is_first() -> None:
    """The most uncertain image comes first for any seed."""
    shares = np.array([sure(share) for share in (0.9, 0.5, 0.4, 0.7)])
    assert rank(np.ones((4, 2)), shares, 4, 0)[0] == 2


def test_classes_that_are_confused_differ() -> None:
    """Images with the same features but different predicted classes count as different."""
    shares = np.array([sure(0.5, best=0), sure(0.5, best=0), sure(0.5, best=1)])
    assert sorted(rank(np.ones((3, 2)), shares, 2, 0)) == [0, 2]


@given(st.integers(0, 30), st.integers(1, 5), st.integers(1, 40), st.integers(0, 3), st.booleans())
def test_rows(images: int, classes: int, count: int, seed: int, is_sure: bool) -> None:  # noqa: FBT001
    """The rows are valid, unique and reproducible, and as many as requested if the images differ."""
    chance = np.random.default_rng(seed)
    shares = chance.dirichlet(np.ones(classes), images).reshape(images, classes)
    if is_sure:
        shares = np.eye(classes)[shares.argmax(1)] if images else shares
    chosen = rank(chance.normal(size=(images, 4)), shares, count, seed)
    assert len(set(chosen)) == len(chosen) <= count
    assert set(chosen) <= set(range(images))
    assert chosen == rank(np.random.default_rng(seed).normal(size=(images, 4)), shares, count, seed) or images
    if classes > 1 and not is_sure:
        assert len(chosen) == min(count, images)
