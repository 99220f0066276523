"""Stored results of earlier runs change no result, also after additions, removals, and changed labels or splits."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.descriptors import made_up

from pipeline.splits import leaks, review
from pipeline.splits.duplicates import earlier
from pipeline.splits.duplicates import near_duplicates as search
from pipeline.splits.duplicates.grid import Sorted

SPLITS = np.array(["train", "train", "val", "test"])


class Images(NamedTuple):
    """A project's images."""

    rows: npt.NDArray[np.int8]
    splits: npt.NDArray[np.str_]
    labels: npt.NDArray[np.str_]

    def then(self, random: np.random.Generator, share: float) -> "Images":
        """Return the images after some were added, removed, moved to another split, and relabelled."""
        kept = random.random(len(self.rows)) < 1 - share
        splits, labels = self.splits.copy(), self.labels.copy()
        other = random.random(len(splits)) < share / 2
        splits[other], labels[other] = random.choice(SPLITS, other.sum()), "c"
        come = drawn(random, int(share * 200))
        both = (np.concatenate([old[kept], new]) for old, new in zip((self.rows, splits, labels), come, strict=True))
        return Images(*both)


def drawn(random: np.random.Generator, count: int) -> Images:
    """Return new images; some of two runs are similar, and some are equal."""
    rows = made_up(np.random.default_rng(0), 400, 150, 0.03)[random.integers(0, 400, count)]
    rows[:, 2:5] += random.integers(0, 2, (count, 3)).astype(np.int8)
    return Images(rows, random.choice(SPLITS, count), random.choice(np.array(["a", "b"]), count))


def all_found(images: Images) -> tuple[list[int], list[int]]:
    """Return the data for leaks.csv and review.csv."""
    found = Sorted.of(images.rows)
    like = leaks.find_leaks(images.splits, found)
    twins = review.other_label(np.arange(0, len(like), 2), pd.Series(images.labels), found, name="label")
    return like.tolist(), twins.tolist()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of stored results, also for few images."""
    monkeypatch.setattr(earlier, "FOLDER", tmp_path / "found")
    monkeypatch.setattr(earlier, "FEW", 0)
    return tmp_path / "found"


@settings(max_examples=12)
@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from([0, 0.03, 0.2, 0.9]), min_size=1, max_size=4))
def test_additions_and_removals(seed: int, shares: list[float]) -> None:
    """With and without stored results the same is found after any change."""
    random = np.random.default_rng(seed)
    images = drawn(random, 250)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(earlier, "FEW", 0)
        patch.setattr(earlier, "FOLDER", Path(folder))
        for share in (0, *shares):
            images = images.then(random, share)
            found = all_found(images)
            patch.setattr(earlier, "FEW", 2**40)
            assert all_found(images) == found
            patch.setattr(earlier, "FEW", 0)


def test_only_what_is_new_is_compared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images without a near-duplicate are not searched for again."""
    images = drawn(np.random.default_rng(0), 300)
    found, searched = all_found(images), []
    whole = search.near_duplicates

    def noted(*arguments: object) -> object:
        searched.append(len(arguments[1]))  # type: ignore[arg-type]
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(earlier, "near_duplicates", noted)
    assert all_found(images) == found
    near = np.count_nonzero(np.array(found[0]) >= 0) + np.count_nonzero(np.array(found[1]) >= 0)
    assert sum(searched) == near
    assert sorted(path.name for path in folder.iterdir()) == ["label.npz", "train.npz", "val.npz"]


@pytest.mark.parametrize("damage", ["cut", "bits", "rules", "gone"])
def test_damaged(folder: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results that are damaged, or of other rules, are not used."""
    images = drawn(np.random.default_rng(0), 300)
    found = all_found(images)
    if damage == "rules":
        monkeypatch.setattr(earlier, "CRITERION", earlier.CRITERION + 1)
    for path in folder.iterdir():
        content = bytearray(path.read_bytes())
        if damage == "cut":
            path.write_bytes(content[: len(content) // 2])
        elif damage == "bits":
            content[-900:-500] = bytes(400)
            path.write_bytes(content)
        elif damage == "gone":
            path.unlink()
    assert all_found(images) == found
