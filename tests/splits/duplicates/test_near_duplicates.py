"""The search for near-duplicates equals a comparison of all pairs."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_images
from support.descriptors import made_up

from pipeline.files import md5_of_bytes
from pipeline.ingestion.perceptual_hash import STEPS, perceptual_hash
from pipeline.splits.duplicates import grid
from pipeline.splits.duplicates import near_duplicates as search
from pipeline.splits.duplicates.grid import Sorted
from pipeline.splits.duplicates.near_duplicates import are_near, resembled
from pipeline.splits.duplicates.points import Positions, Rows

PHOTOS = [Image.fromarray(photo) for photo in load_sample_images().images]
seeds = st.integers(0, 2**32 - 1)


def described(*images: Image.Image) -> Rows:
    """Return the descriptors of `images`, shape (n, 64)."""
    return np.frombuffer(b"".join(perceptual_hash(image).descriptor for image in images), np.int8).reshape(-1, 64)


def near_duplicates(images: Rows, others: Rows) -> Positions:
    """Return for each of `images` the position of a near-duplicate in `others`, or −1; shape (len(images),)."""
    kind = np.repeat(np.array([0, 1], np.int32), (len(images), len(others)))
    found = Sorted.of(np.concatenate([images, others]))
    near = search.near_duplicates(found, np.flatnonzero(kind == 0), np.flatnonzero(kind), kind)
    return np.where(near < 0, -1, near - len(images))


def brute_force(images: Rows, others: Rows) -> Any:
    """Return which pairs are near-duplicates by the documented rule, shape (len(images), len(others))."""

    def grey(rows: Rows) -> Any:
        terms = rows[:, 2:] * 2.0 ** rows[:, :1] / STEPS
        return np.concatenate([0.3 * rows[:, 1:2], terms], axis=1), np.linalg.norm(terms, axis=1)

    (points, contrast), (other_points, other_contrast) = grey(images), grey(others)
    distance = np.linalg.norm(points[:, None] - other_points[None], axis=2)
    # A tolerance for different rounding.
    return distance <= np.maximum(1.5, 0.07 * np.minimum(contrast[:, None], other_contrast[None])) + 1e-9


def check(images: Rows, others: Rows) -> None:
    """Assert that what is found is near, and that no near image is missed."""
    found = near_duplicates(images, others)
    assert found.shape == (len(images),)
    hit = found >= 0
    near = brute_force(images, others)
    assert np.array_equal(hit, near.any(1))
    assert near[hit, found[hit]].all()


@settings(max_examples=40)
@given(seeds, st.integers(1, 60), st.floats(0, 0.2))
def test_finds_what_brute_force_finds(seed: int, clumps: int, noise: float) -> None:
    """All near-duplicates are found, for scattered or clustered images around every limit."""
    rows = made_up(np.random.default_rng(seed), 300, clumps, noise)
    check(rows[:100], rows[100:])


@settings(max_examples=20)
@given(seeds)
def test_finds_what_is_just_near(seed: int) -> None:
    """Images slightly below the limit are found in any direction and at any contrast."""
    random = np.random.default_rng(seed)
    terms = random.normal(size=(200, 62)) * np.arange(1, 63) ** -0.7
    contrast = np.exp(random.uniform(0, 4.7, 200))
    terms *= (contrast / np.linalg.norm(terms, axis=1))[:, None]
    steps = STEPS / 2 ** np.ceil(np.log2(np.maximum(1.1 * contrast, 1) / 1.42))[:, None]
    terms = np.round(terms * steps)
    # Along a term of the grid, which crosses a cell's border, or along all terms, which changes the contrast.
    away = np.where(
        random.random((200, 1)) < 0.5, np.eye(62)[random.integers(0, 11, 200)], -terms / steps / contrast[:, None]
    )
    away *= np.maximum(1.5, 0.07 * 0.93 * contrast)[:, None] * random.uniform(0.8, 0.98, (200, 1))
    rows = np.zeros((2, 200, 64), np.int8)
    rows[..., :1], rows[..., 2:] = np.log2(STEPS / steps), np.round([terms, terms + away * steps])
    for images, others in ((rows[0], rows[1]), (rows[1], rows[0])):
        check(images, others)
        assert np.count_nonzero(near_duplicates(images, others) >= 0) > 100


@settings(max_examples=20)
@given(seeds)
def test_random_bytes(seed: int) -> None:
    """Descriptors that no image has cause no error."""
    random = np.random.default_rng(seed)
    rows = random.integers(-128, 128, (200, 64)).astype(np.int8)
    rows[:, 0] = random.integers(0, 8, 200)
    rows[150:] = rows[:50]
    check(rows[:100], rows[100:])


@given(seeds)
@settings(max_examples=20)
def test_blocks(seed: int) -> None:
    """The block sizes of images and pairs change nothing."""
    rows = made_up(np.random.default_rng(seed), 200, 3, 0.08)
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in ((grid, "IMAGES", 7), (search, "PAIRS", 5), (search, "FEW", 2)):
            patch.setattr(module, name, value)
        check(rows[:100], rows[100:])


@given(seeds, st.integers(1, 8))
@settings(max_examples=20)
def test_ways_to_compare(seed: int, clumps: int) -> None:
    """Comparing pairs and multiplying matrices find the same of several near-duplicates."""
    rows = made_up(np.random.default_rng(seed), 600, clumps, 0.09)
    found = []
    for many in (1, 2**40):
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (("MANY", many), ("TILE", 16), ("WORTH", 0), ("WASTE", 2**40), ("FEW", 2)):
                patch.setattr(search, name, value)
            found.append(near_duplicates(rows[:200], rows[200:]).tolist())
    assert found[0] == found[1]
    check(rows[:200], rows[200:])


@given(seeds, st.integers(1, 60), st.floats(0, 0.2))
@settings(max_examples=20)
def test_finds_the_same_without_a_table(seed: int, clumps: int, noise: float) -> None:
    """For few images coordinates are computed when needed, with the same result."""
    rows = made_up(np.random.default_rng(seed), 300, clumps, noise)
    found = near_duplicates(rows[:50], rows[50:]).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid, "LOOKED_AT", 0)
        assert near_duplicates(rows[:50], rows[50:]).tolist() == found


@given(seeds, st.integers(1, 60), st.floats(0, 0.2))
@settings(max_examples=20)
def test_resembled(seed: int, clumps: int, noise: float) -> None:
    """All images similar to a few are found, also in parts of long cells."""
    rows = made_up(np.random.default_rng(seed), 300, clumps, noise)
    kind = np.repeat(np.array([0, 1], np.int32), (260, 40))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "PAIRS", 8)
        near = resembled(Sorted.of(rows), np.arange(260), np.arange(260, 300), kind)
    missed = np.flatnonzero(brute_force(rows[:260], rows[260:]).any(1) & ~near)
    assert all((rows[near.nonzero()[0]] == rows[place]).all(1).any() for place in missed)  # Copies are returned once.
    assert not (near & ~brute_force(rows[:260], rows[260:]).any(1)).any()


def test_choices_never_change() -> None:
    """Of several near-duplicates every version finds the same one; otherwise leaks.csv would change."""
    rows = made_up(np.random.default_rng(11), 2000, 10, 0.06)
    found = near_duplicates(rows[:1000], rows[1000:])
    assert found[:16].tolist() == [296, 926, 926, 296, -1, 609, -1, -1, 296, 570, 296, -1, 609, 926, -1, -1]
    assert md5_of_bytes(found.astype("<i8").tobytes()) == "0edebe6a4aa60c5e2f7d7f68b3d99c09"


def test_flat_images() -> None:
    """Images without contrast are near-duplicates if their greys differ by at most five levels."""
    rows = described(*(Image.new("L", (9, 9), grey) for grey in range(256)))
    near = near_duplicates(rows, rows[100:101])
    assert np.flatnonzero(near >= 0).tolist() == list(range(95, 106))
    check(rows[:128], rows[128:])


def test_copies_of_photographs() -> None:
    """A scaled photograph is found; another photograph, or one upside down, is not."""
    scaled = described(*(photo.resize((200, 140)) for photo in PHOTOS))
    assert near_duplicates(scaled, described(*PHOTOS)).tolist() == [0, 1]
    turned = described(*(photo.transpose(Image.Transpose.ROTATE_180) for photo in PHOTOS))
    assert near_duplicates(turned, described(*PHOTOS)).tolist() == [-1, -1]


def test_identical_descriptors() -> None:
    """A hundred thousand copies are found quickly, and each matches the first of the others."""
    row = described(PHOTOS[0])
    found = near_duplicates(np.repeat(row, 100_000, axis=0), np.concatenate([described(PHOTOS[1]), row, row]))
    assert found.shape == (100_000,)
    assert set(found.tolist()) == {1}


@pytest.mark.parametrize(("images", "others"), [(0, 0), (0, 3), (3, 0)])
def test_nothing(images: int, others: int) -> None:
    """Without images nothing is found."""
    rows = np.zeros((3, 64), np.int8)
    assert near_duplicates(rows[:images], rows[:others]).tolist() == [-1] * images


def test_limits_belong_to_it() -> None:
    """Images at exactly 7 % of the contrast are near-duplicates, in integers and not beyond."""
    rows = np.zeros((3, 64), np.int8)
    rows[:, 0], rows[:, 2] = 7, 100
    rows[1, 3], rows[2, 3] = 7, 8
    assert are_near(rows, rows[[0, 0, 0]]).tolist() == [True, True, False]
    assert near_duplicates(rows, rows[:1]).tolist() == [0, 0, -1]


def test_read_only_rows() -> None:
    """Read-only and non-contiguous descriptors work."""
    rows = np.repeat(made_up(np.random.default_rng(0), 60, 3, 0.05), 2, axis=0)[::2]
    rows.flags.writeable = False
    check(rows[:20], rows[20:])
