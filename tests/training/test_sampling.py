"""Which images an epoch draws."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.randomness import epoch_order
from pipeline.training.sampling import draw_epoch

KEYS = np.random.default_rng(0).integers(0, 2**63, 40).astype(np.uint64)


def drawn(new: int, share: float, epoch: int, count: int = 40) -> list[int]:
    """The images that `epoch` draws, of which the first `new` are new."""
    return list(draw_epoch(KEYS[:count], np.arange(count) < new, new_share=share, seed=1, epoch=epoch))


@given(st.integers(0, 40), st.integers(0, 1000))
def test_uniform_is_every_image_once(new: int, epoch: int) -> None:
    """Without a share it does not matter what is new."""
    assert drawn(new, 0.0, epoch) == list(epoch_order(KEYS, seed=1, epoch=epoch))


@given(st.integers(1, 39), st.floats(0.01, 0.99), st.integers(0, 1000))
def test_new_images_have_their_share(new: int, share: float, epoch: int) -> None:
    """As many as the share says, at least one of either kind, and as many in all as there are images."""
    draws = drawn(new, share, epoch)
    assert len(draws) == 40
    assert sum(number < new for number in draws) == min(max(round(share * 40), 1), 39)


@given(st.integers(1, 39), st.floats(0.01, 0.99))
def test_none_is_drawn_again_before_its_turn(new: int, share: float) -> None:
    """Over the epochs no image of a kind is more than one visit ahead of another."""
    draws = list(chain.from_iterable(drawn(new, share, epoch) for epoch in range(7)))
    visits = np.bincount(draws, minlength=40)
    for kind in (visits[:new], visits[new:]):
        assert kind.max() - kind.min() <= 1


@pytest.mark.parametrize("new", [0, 40])
def test_one_kind_alone(new: int) -> None:
    """Where all images are new, or none is, every one comes once."""
    assert sorted(drawn(new, 0.5, 3)) == list(range(40))


def test_epochs_differ_and_the_same_epoch_does_not() -> None:
    """It is a function of the epoch."""
    assert drawn(10, 0.5, 1) == drawn(10, 0.5, 1)
    assert drawn(10, 0.5, 1) != drawn(10, 0.5, 2)
    kinds = [number < 10 for number in drawn(10, 0.5, 1)]
    assert kinds not in (sorted(kinds), sorted(kinds, reverse=True)), "new and old are mixed"
