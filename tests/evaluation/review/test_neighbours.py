"""What an image's nearest neighbours indicate."""

import numpy as np
import pytest

from pipeline.evaluation.review.neighbours import BLOCK, Features, how_far, neighbours


def clusters(count: int) -> Features:
    """Return features of `count` images, alternately of two separate clusters."""
    chance = np.random.default_rng(0)
    centres = np.array([[5, 0, 0], [0, 5, 0]])[np.arange(count) % 2]
    return (centres + chance.normal(0, 0.3, (count, 3))).astype(np.float32)


def test_label_of_the_neighbours() -> None:
    """An image with the other cluster's label has no neighbour of its label."""
    features, codes = clusters(60), np.arange(60) % 2
    codes[7] = 0
    shares = neighbours(features, features, codes, 2, are_known=True).shares
    assert shares[7].tolist() == [0, 1]
    assert np.allclose(shares.sum(1), 1)
    assert (shares[np.arange(60), codes] > 0.5).sum() == 59


def test_no_image_is_its_own_neighbour() -> None:
    """A known image is not its own neighbour in any block; a copy that is not known is near that image."""
    count = BLOCK + 100
    features = np.random.default_rng(0).normal(size=(count, 16)).astype(np.float32)
    codes = np.arange(count)
    near = neighbours(features, features, codes, count, are_known=True)
    assert (near.shares[codes, codes] == 0).all()
    copies = neighbours(features, features, codes, count, are_known=False)
    assert (copies.shares[codes, codes] > 0).all()
    assert (copies.distance < near.distance).all()


def test_far_images() -> None:
    """An image unlike all others is far, relative to the others' distances."""
    features = clusters(200)
    usual = neighbours(features, features, np.empty(0, np.intp), 0, are_known=True).distance
    strange = np.array([[9, 9, 9]], np.float32)
    distance = neighbours(strange, features, np.empty(0, np.intp), 0, are_known=False).distance
    assert how_far(distance, usual)[0] > 4
    assert (how_far(usual, usual) > 4).mean() < 0.02


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_images(count: int) -> None:
    """Without neighbours there are no results."""
    features = clusters(2)[:count]
    near = neighbours(features, features, np.zeros(count, np.intp), 2, are_known=True)
    assert near.shares.shape == (count, 2)
    assert np.isnan(near.distance).all() == (count < 2)
