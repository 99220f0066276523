"""The order of an epoch depends only on seed, epoch and image ids."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.drawing.randomness import Purpose, UInt64s, draw, epoch_order, keys_of, uniform

MANY = np.random.default_rng(0).integers(0, 2**64, 20_000, dtype=np.uint64)
PURPOSES = tuple(Purpose)[:8]
unique_keys = st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=60)
seeds = st.integers(0, 2**32 - 1)
epochs = st.integers(0, 2**31)


def as_keys(numbers: list[int]) -> UInt64s:
    """Return keys from Python integers."""
    return np.array(numbers, dtype=np.uint64)


def visited(numbers: list[int], seed: int, epoch: int) -> list[int]:
    """Return `numbers` in the order of `epoch`."""
    return [numbers[position] for position in epoch_order(as_keys(numbers), seed=seed, epoch=epoch)]


def test_keys_are_the_first_bits_of_ids() -> None:
    """A key is the first half of an id, also if its highest bit is set."""
    ids = np.array(["ff" * 16, "00" * 16, "0123456789abcdef" + "0" * 16])
    assert keys_of(ids).tolist() == [2**64 - 1, 0, 0x0123456789ABCDEF]
    assert keys_of(ids[:0]).shape == (0,)


@given(unique_keys, seeds, epochs)
def test_epoch_visits_every_image_once(numbers: list[int], seed: int, epoch: int) -> None:
    """An order is a permutation of any number of images, including none."""
    assert sorted(visited(numbers, seed, epoch)) == sorted(numbers)


@given(unique_keys, unique_keys, seeds, epochs)
def test_added_images_leave_the_order_of_the_old_ones(old: list[int], added: list[int], seed: int, epoch: int) -> None:
    """Additional images do not change the relative order of the old ones."""
    everything = sorted({*old, *added})
    assert [number for number in visited(everything, seed, epoch) if number in old] == visited(old, seed, epoch)


@given(unique_keys.flatmap(lambda numbers: st.tuples(st.just(numbers), st.permutations(numbers))), seeds, epochs)
def test_order_does_not_depend_on_how_images_are_listed(
    listed: tuple[list[int], list[int]], seed: int, epoch: int
) -> None:
    """The order does not depend on how images are listed."""
    first, second = listed
    assert visited(first, seed, epoch) == visited(second, seed, epoch)


@pytest.mark.parametrize("change", [{"seed": 1}, {"epoch": 1}])
def test_epochs_and_seeds_have_orders_of_their_own(change: dict[str, int]) -> None:
    """Another epoch or seed has an unrelated order."""
    settings = {"seed": 0, "epoch": 0}
    one, other = (np.argsort(epoch_order(MANY, **here)) for here in (settings, {**settings, **change}))
    assert abs(np.corrcoef(one, other)[0, 1]) < 5 / len(MANY) ** 0.5


def test_order_never_changes() -> None:
    """Draws equal those of earlier versions on every machine."""
    keys = as_keys([0, 1, 2**63, 2**64 - 1])
    assert draw(keys, seed=0, epoch=0, purpose=Purpose.ORDER).tolist() == [
        2391539541053276776,
        3048674281419798293,
        5570538237038218810,
        17476826788917428307,
    ]
    assert draw(keys, seed=7, epoch=3, purpose=Purpose.FLIP).tolist() == [
        41028820365633596,
        14358230507908951705,
        6820641301969711552,
        14901391118927742431,
    ]


def test_every_image_may_come_first() -> None:
    """Over many epochs each of a few images comes first about equally often."""
    keys, rounds = as_keys(list(range(8))), 4_000
    first = np.bincount([epoch_order(keys, seed=0, epoch=epoch)[0] for epoch in range(rounds)], minlength=8)
    expected = rounds / 8
    # 99.99 % of fair draws are below: chi-square with 7 degrees of freedom.
    assert ((first - expected) ** 2 / expected).sum() < 29.9


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("keys", [MANY, np.arange(20_000, dtype=np.uint64)], ids=["random", "consecutive"])
def test_draws_are_uniform(keys: UInt64s, purpose: int) -> None:
    """Numbers in [0, 1) are uniform, even for similar keys."""
    numbers = uniform(keys, seed=5, epoch=2, purpose=purpose)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts, _ = np.histogram(numbers, bins=20, range=(0, 1))
    expected = len(keys) / 20
    # 99.99 % of fair draws are below: chi-square with 19 degrees of freedom.
    assert ((counts - expected) ** 2 / expected).sum() < 51


def test_largest_draw_is_below_one() -> None:
    """The largest 64-bit value does not round up to 1."""
    assert (np.uint64(2**64 - 1) >> np.uint64(11)).astype(np.float64) * 2.0**-53 < 1


@pytest.mark.parametrize(("one", "other"), list(combinations(PURPOSES, 2)))
def test_purposes_are_independent(one: int, other: int) -> None:
    """Draws for different purposes are independent."""
    first, second = (uniform(MANY, seed=0, epoch=0, purpose=purpose) for purpose in (one, other))
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / len(MANY) ** 0.5


def test_seed_epoch_and_purpose_do_not_stand_in_for_each_other() -> None:
    """Different (seed, epoch, purpose) give different draws, also for equal sums and permutations."""
    small = [(seed, epoch, purpose) for seed in range(5) for epoch in range(5) for purpose in PURPOSES]
    draws = {int(draw(MANY[:1], seed=seed, epoch=epoch, purpose=purpose)[0]) for seed, epoch, purpose in small}
    assert len(draws) == len(small)
