"""The split of an image depends only on its content."""

from collections import Counter
from hashlib import md5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.params import Manifest, Split
from pipeline.splits.assignment import SPLITS, SplitName, split_of

KEYS = [md5(str(number).encode()).hexdigest()[:16] for number in range(20_000)]
keys = st.text("0123456789abcdef", min_size=16, max_size=16)
shares = st.floats(0, 0.49)
seeds = st.integers(0, 2**32 - 1)


def manifest(val: float = 0.1, test: float = 0.2, seed: int = 0) -> Manifest:
    """Return params of the splits."""
    return Manifest(split=Split(val=val, test=test, by="hash", group=None), on_removed="keep", cold_after="", seed=seed)


def splits_of(several: list[str], params: Manifest) -> list[SplitName]:
    """Return the split of each image."""
    return [split_of(key, params) for key in several]


@given(st.lists(keys, unique=True), st.randoms(use_true_random=False), shares, shares, seeds)
def test_split_depends_on_nothing_else(several: list[str], random: object, val: float, test: float, seed: int) -> None:
    """The split of an image depends neither on other images nor on their order."""
    params = manifest(val, test, seed)
    expected = {key: split_of(key, params) for key in several}
    random.shuffle(several)  # type: ignore[attr-defined]
    assert dict(zip(several, splits_of(several, params), strict=True)) == expected
    assert dict(zip(several[::2], splits_of(several[::2], params), strict=True)).items() <= expected.items()


def test_splits_never_change() -> None:
    """Splits equal those of earlier versions; otherwise test images would be trained on."""
    splits = list(splits_of(KEYS[:60], manifest()))
    assert [position for position, split in enumerate(splits) if split == "val"] == [41]
    assert [position for position, split in enumerate(splits) if split == "test"] == [
        0,
        10,
        12,
        15,
        17,
        21,
        28,
        29,
        30,
        31,
        32,
        33,
        34,
        35,
        36,
        56,
    ]


def test_copies_stay_together() -> None:
    """Images with the same content are in the same split."""
    assert len(set(splits_of(KEYS[:1] * 100, manifest()))) == 1


@pytest.mark.parametrize(("val", "test"), [(0.1, 0.2), (0.0, 0.5), (0.01, 0.01), (0.3, 0.0), (0.0, 0.0), (0.49, 0.5)])
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_shares_hold(val: float, test: float, seed: int) -> None:
    """Each split has its share, up to chance."""
    counts = Counter(splits_of(KEYS, manifest(val, test, seed)))
    for name, share in zip(SPLITS, (1 - val - test, val, test), strict=True):
        deviation = (len(KEYS) * share * (1 - share)) ** 0.5
        assert abs(counts[name] - len(KEYS) * share) <= 4 * deviation


@given(st.lists(keys, min_size=20, max_size=100), shares, shares, shares, seeds)
def test_share_of_val_moves_nothing_to_or_from_test(
    several: list[str], test: float, before: float, after: float, seed: int
) -> None:
    """A changed share of val moves images only between val and train, in one direction."""
    moves = {
        (split_of(key, manifest(before, test, seed)), split_of(key, manifest(after, test, seed))) for key in several
    }
    moved = {move for move in moves if move[0] != move[1]}
    assert moved <= ({("train", "val")} if after > before else {("val", "train")})


@given(st.lists(keys, min_size=20, max_size=100), shares, shares, shares, seeds)
def test_share_of_test_moves_nothing_to_or_from_val(
    several: list[str], val: float, before: float, after: float, seed: int
) -> None:
    """A changed share of test moves images only between test and train, in one direction."""
    moves = {(split_of(key, manifest(val, before, seed)), split_of(key, manifest(val, after, seed))) for key in several}
    moved = {move for move in moves if move[0] != move[1]}
    assert moved <= ({("train", "test")} if after > before else {("test", "train")})


def test_seeds_draw_independent_splits() -> None:
    """With another seed an image's split is independent of the one before."""
    first, second = (list(splits_of(KEYS, manifest(0.25, 0.25, seed))) for seed in (0, 1))
    both = Counter(zip(first, second, strict=True))
    assert abs(both["test", "test"] / len(KEYS) - 1 / 16) < 0.01
    assert abs(both["val", "test"] / len(KEYS) - 1 / 16) < 0.01
