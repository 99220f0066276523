"""Splits given by the data, and splits by time."""

import json
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from splits.test_groups import Placed, asked, table

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.splits.assignment import assign, split_of
from pipeline.splits.dates import dates_of, newest

BY_HASH = asked(None).manifest


def placed(source: str, label: str = "cat", **cells: str) -> Placed:
    """Return an image with these cells in labels.csv."""
    return Placed(source, md5(source.encode()).hexdigest()[:16], json.dumps(cells) if cells else "", label)


def splits(*images: Placed, group: str | None = None, **split: Any) -> list[str]:
    """Return the splits of images."""
    return [*map(str, assign(table(images), asked(group, **split)).splits)]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("train", "train"), ("Validation", "val"), ("valid", "val"), ("DEV", "val"), (" test ", "test"), ("val", "val")],
)
def test_column(cell: str, expected: str) -> None:
    """The names of splits in public data sets are accepted, in any case."""
    assert splits(placed("cat/1.png", split=cell), by="column") == [expected]


def test_without_a_cell() -> None:
    """Without a cell the hash decides, and the number of such images is reported."""
    images = [placed(f"cat/{number}.png", camera="x") for number in range(60)]
    drawn = assign(table([*images, placed("cat/a.png", split="test")]), asked(None, by="column"))
    assert drawn.splits.tolist() == [*(split_of(one.key, BY_HASH) for one in images), "test"]
    assert drawn.remark == ", 60 images without a given split, drawn by hash"


def test_a_column_says_nothing_unless_it_is_asked() -> None:
    """The column is used only if the params ask for it."""
    images = [placed(f"train/{number}.png", "train", split="test", date="2026-01-01") for number in range(60)]
    assert splits(*images) == [split_of(one.key, BY_HASH) for one in images]


def test_unknown_word() -> None:
    """An unknown word is an error that names an image."""
    with pytest.raises(
        ImagesError, match=r"labels\.csv: the split of cat/2\.png is 'fold 3'; write train, val or test"
    ):
        splits(placed("cat/1.png", split="test"), placed("cat/2.png", split="fold 3"), by="column")


@pytest.mark.parametrize(
    ("source", "label", "expected"),
    [
        ("train/cat/1.png", "cat", "train"),
        ("cat/Test/1.png", "cat", "test"),
        ("all.zip!/set/valid/cat/1.png", "cat", "val"),
        ("test/train/1.png", "train", "test"),
        ("train/test/1.png", "train", "test"),
    ],
)
def test_folder(source: str, label: str, expected: str) -> None:
    """The outermost folder with a split's name counts, but not the class folder."""
    assert splits(placed(source, label), by="folder") == [expected]


def test_folder_of_a_former_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of a former class with a split's name is no split, whatever the class became."""
    monkeypatch.chdir(tmp_path)
    sources = [f"{name}/{number}.png" for name in ("test", "val") for number in range(20)]
    before = splits(*(placed(source, source.split("/")[0]) for source in sources), by="folder")
    paths.CLASSES.parent.mkdir()
    paths.CLASSES.write_text("old,new\ntest,exam\nval,a\nval,b\n")
    for test, val in (("exam", "b"), ("test", "val")):
        labels = {"test": test, "val": val}
        assert splits(*(placed(source, labels[source.split("/")[0]]) for source in sources), by="folder") == before


def test_groups_follow_their_given_split() -> None:
    """Images without a cell follow their group; a group in two given splits is an error with two examples."""
    one, other = placed("cat/p1/1.png", split="test"), placed("dog/p1/2.png", "dog")
    assert splits(other, one, by="column", group="folder") == ["test", "test"]
    what = "group 'p1' is in two splits: cat/p1/1.png is in test and cat/p1/3.png is in train; put all of it into one"
    with pytest.raises(ImagesError, match=what):
        splits(one, other, placed("cat/p1/3.png", split="train"), by="column", group="folder")


@pytest.mark.parametrize(
    ("source", "cells", "expected"),
    [
        ("cat/2026-01-31/1.png", {}, "2026-01-31 00:00:00"),
        ("cat/IMG_20260131_123456.jpg", {}, "2026-01-31 12:34:56"),
        ("2025/12/24/cat/1.png", {}, "2025-12-24 00:00:00"),
        ("2025-01-01/cat/2026_01_31-12.34.56.png", {}, "2026-01-31 12:34:56"),
        ("cat/2026-02-31.png", {}, ""),
        ("cat/120260131.png", {}, ""),
        ("cat/202601310.png", {}, ""),
        ("cat/2026-01-31.png", {"date": "2026-02-01"}, "2026-02-01 00:00:00"),
        ("cat/1.png", {"date": "2026-02-01", "time": "12:30"}, "2026-02-01 12:30:00"),
        ("cat/1.png", {"time": "2026-02-01T12:30:00+02:00"}, "2026-02-01 10:30:00"),
        ("cat/1.png", {}, ""),
    ],
)
def test_dates(source: str, cells: dict[str, str], expected: str) -> None:
    """Columns come before file names, and file names before folders; an invalid day is no date."""
    assert dates_of(table([placed(source, **cells)])) == [expected]


def test_a_cell_that_is_no_date() -> None:
    """An invalid date in a cell is an error that names an image."""
    with pytest.raises(ImagesError, match=r"the date of cat/1\.png is 'yesterday'; write it as 2026-01-31"):
        dates_of(table([placed("cat/1.png", date="yesterday")]))


def test_the_newest_are_test() -> None:
    """The newest dates are test, up to its share, but at least one; images without a date are never test."""
    images = [placed(f"cat/2026-01-{day:02}.png") for day in range(1, 21)]
    drawn = assign(table([*images, placed("cat/x.png")]), asked(None, by="time", test=0.2, val=0.0))
    assert drawn.splits.tolist() == ["train"] * 16 + ["test"] * 4 + ["train"]
    assert drawn.remark == (
        ", test from 2026-01-17 00:00:00 on, 1 image without a date, which cannot be among the newest"
    )
    assert splits(*images[:3], by="time", test=0.0, val=0.0) == ["train"] * 3
    assert splits(placed("cat/2026-01-01.png"), by="time", test=0.1, val=0.0) == ["test"]


def test_groups_are_as_old_as_their_oldest_image() -> None:
    """A group has the date of its oldest image, so that a trained group stays when it grows."""
    old = [placed(f"cat/p{day}/2026-01-{day:02}.png") for day in range(1, 11)]
    later = placed("cat/p1/2026-02-01.png")
    assert splits(*old, later, by="time", test=0.1, val=0.0, group="folder") == ["train"] * 9 + ["test", "train"]


dates = st.sampled_from(["", *(f"2026-01-{day:02} 00:00:00" for day in range(1, 9))])


@given(st.lists(st.tuples(dates, st.sampled_from(["", "a", "b", "c"])), max_size=30), st.floats(0, 0.9))
def test_nothing_older_is_in_test_while_newer_is_not(some: list[tuple[str, str]], share: float) -> None:
    """No group is divided, and test contains whole dates from the newest on."""
    told, groups = [date for date, _ in some], [group for _, group in some]
    picked, first = newest(told, groups, share)
    assert not any(new for new, date, group in zip(picked, told, groups, strict=True) if not date and not group)
    for group in set(groups) - {""}:
        assert len({new for new, own in zip(picked, groups, strict=True) if own == group}) == 1
    for new, date, group in zip(picked, told, groups, strict=True):
        assert group or new == (bool(first) and date >= first)
    assert any(picked) == (share > 0 and any(told))
