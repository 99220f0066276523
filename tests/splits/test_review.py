"""review.csv lists images whose labels are reviewed, and which of them are similar to an image of another label."""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.splits import review
from pipeline.splits.duplicates.grid import Sorted
from pipeline.splits.duplicates.near_duplicates import are_near
from pipeline.splits.duplicates.points import Rows
from pipeline.splits.review import LEFT_OUT, list_review, other_label


def descriptors(seeds: Sequence[int]) -> Rows:
    """Return descriptors that are similar exactly for equal seeds."""
    rows = [np.random.default_rng(seed).integers(-60, 60, 64) for seed in seeds]
    made = np.array(rows, np.int8).reshape(-1, 64)
    made[:, :2] = 6, 0
    return made


def columns_of(table: pa.Table) -> Callable[..., pa.Table]:
    """Return a function that returns some columns of `table`."""
    return lambda *names: table.select(names)


def images(labels: Sequence[str]) -> Callable[..., pa.Table]:
    """Return the columns of images called 00, 01 and so on."""
    ids = [f"{number:02}" for number in range(len(labels))]
    sources = [f"{label}/{one}.png" for label, one in zip(labels, ids, strict=True)]
    return columns_of(pa.table({"id": ids, "label": list(labels), "source": sources, "md5": ids}))


def listed(
    labels: Sequence[str], splits: Sequence[str], seeds: Sequence[int], seen: Sequence[int] = ()
) -> list[dict[str, str]]:
    """Return the lines of review.csv, where the base has seen the images at the places `seen`."""
    is_seen = np.isin(np.arange(len(labels)), seen)
    found: list[dict[str, str]] = list_review(
        images(labels), np.array(splits), np.array(splits) != LEFT_OUT, is_seen, Sorted.of(descriptors(seeds))
    ).to_pylist()
    return found


def test_first_generation() -> None:
    """In the first generation all training images are reviewed, and val is not."""
    found = listed("aabb", ["train", "val", "test", "train"], range(4))
    assert [(one["id"], one["split"], one["like_id"]) for one in found] == [
        ("00", "train", ""),
        ("02", "test", ""),
        ("03", "train", ""),
    ]


def test_what_the_base_has_seen_is_not_reviewed() -> None:
    """Training images alone: a test image always is."""
    found = listed("abab", ["train", "train", "train", "test"], range(4), seen=[0, 1, 3])
    assert [one["id"] for one in found] == ["02", "03"]


def test_twins_of_another_label() -> None:
    """Similar images of another label are named from any split; from those left out only if listed."""
    found = listed("abaab", ["train", "val", LEFT_OUT, LEFT_OUT, "test"], [1, 1, 2, 3, 2])
    assert [(one["id"], one["split"], one["like_id"], one["like_label"], one["like_source"]) for one in found] == [
        ("00", "train", "01", "b", "b/01.png"),
        ("02", LEFT_OUT, "04", "b", "b/04.png"),
        ("04", "test", "02", "a", "a/02.png"),
    ]


def test_bounded() -> None:
    """Of many new training images the first by id are reviewed."""
    count = review.MOST + 5
    splits: npt.NDArray[np.str_] = np.array(["train"] * count + ["test"])
    ids = [f"{number:07}" for number in range(count + 1)]
    table = pa.table(dict.fromkeys(("id", "source", "md5"), ids) | {"label": ["a"] * len(ids)})
    rows, is_seen = np.zeros((len(ids), 64), np.int8), np.zeros(len(ids), np.bool_)
    found = list_review(columns_of(table), splits, splits != LEFT_OUT, is_seen, Sorted.of(rows))
    assert found["id"].to_pylist() == [*ids[: review.MOST], ids[-1]]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), max_size=30))
def test_all_are_found(made: list[tuple[int, int]]) -> None:
    """An image has a twin of another label exactly if there is one."""
    labels, rows = np.array([label for label, _ in made]), descriptors([seed for _, seed in made])
    found = other_label(np.arange(len(made)), pd.Series(labels, dtype=str), Sorted.of(rows))
    for one, other in enumerate(found):
        if other >= 0:
            assert labels[one] != labels[other]
            assert are_near(rows[[one]], rows[[other]]).all()
    pairs = {
        one
        for one, other in product(range(len(made)), repeat=2)
        if labels[one] != labels[other] and made[one][1] == made[other][1]
    }
    assert set(np.flatnonzero(found >= 0)) == pairs
