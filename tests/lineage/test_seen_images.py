"""The list of all images that a model has seen: compact, reproducible and comparable."""

from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.damage import cuts

from pipeline.errors import CheckpointError
from pipeline.lineage import seen_images
from pipeline.lineage.lineage import ImageCounts
from pipeline.lineage.seen_images import (
    NOTHING,
    SEEN,
    SeenImages,
    find_seen,
    positions,
    read_seen,
    read_seen_ids,
    write_seen,
)
from pipeline.splits.changes import list_changes

A, B, C, D, E = (letter * 32 for letter in "abcde")
ids = st.text("0123456789abcdef", min_size=32, max_size=32)
names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8)


def labelled(**labels: str) -> "pd.Series[str]":
    """Return labels by id."""
    return pd.Series({letter * 32: label for letter, label in labels.items()}, dtype=str)


def round_trip(seen: SeenImages, folder: Path) -> SeenImages:
    """Write `seen`, and read it back."""
    write_seen(seen, folder)
    return read_seen(folder)


def test_counts() -> None:
    """New, removed and relabelled images are counted against the last training, not against all before."""
    seen = NOTHING.then(labelled(a="cat", b="cat", e="cat")).then(labelled(a="cat", b="cat", c="dog"))
    now = labelled(b="dog", c="dog", d="cat", e="cat")
    assert seen.compare(now) == ImageCounts(total=4, new=2, removed=1, relabelled=1)


def test_counts_of_nothing() -> None:
    """Before the first training all images are new; equal sets have no changes; an empty set removes all."""
    labels = labelled(a="cat", b="dog")
    assert NOTHING.compare(labels) == ImageCounts(total=2, new=2, removed=0, relabelled=0)
    assert NOTHING.then(labels).compare(labels) == ImageCounts(total=2, new=0, removed=0, relabelled=0)
    none = NOTHING.labels
    assert NOTHING.then(labels).compare(none) == ImageCounts(total=0, new=0, removed=2, relabelled=0)


def test_counts_do_not_depend_on_order() -> None:
    """The order of images does not matter."""
    labels = labelled(a="cat", b="dog", c="cow")
    assert NOTHING.then(labels).compare(labels.iloc[::-1]).relabelled == 0


def test_no_id_is_hashed_as_text() -> None:
    """Comparing hashes no ids as text, which pandas would keep: seconds and a gigabyte for ten million."""
    before, now = labelled(a="cat", b="cat"), labelled(b="dog", c="dog")
    assert NOTHING.then(before).compare(now).relabelled == 1
    assert len(list_changes(NOTHING.then(before), now)) == 5
    tables = (labels.index._engine for labels in (before, now))  # type: ignore[attr-defined]
    assert not any(table.is_mapping_populated for table in tables)


def test_images_are_never_forgotten() -> None:
    """Removed images, and images that came back, stay among all seen images."""
    seen = NOTHING.then(labelled(a="cat", b="cat")).then(labelled(b="cat", c="cat")).then(labelled(c="cat", a="dog"))
    assert sorted(seen.ids) == [A, B, C]
    assert seen.ids.is_unique
    assert list(seen.earlier) == [B]
    assert seen.labels.to_dict() == {A: "dog", C: "cat"}


@given(st.dictionaries(ids, names, max_size=20), st.sets(ids, max_size=20))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, labels: dict[str, str], earlier: set[str]) -> None:
    """The list is read back as written, for any class names."""
    earlier -= set(labels)
    seen = SeenImages(labels=pd.Series(labels, dtype=str), earlier=pd.Index(sorted(earlier), dtype=str))
    read = round_trip(seen, tmp_path_factory.getbasetemp())
    assert read.labels.to_dict() == labels
    assert set(read.earlier) == earlier
    assert sorted(read_seen_ids(tmp_path_factory.getbasetemp()).texts()) == sorted(seen.ids)


def test_nothing_can_be_written(tmp_path: Path) -> None:
    """A model that has seen nothing is read as such."""
    read = round_trip(NOTHING, tmp_path)
    assert (len(read.labels), len(read.earlier)) == (0, 0)
    assert read.compare(labelled(a="cat")).new == 1


def test_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    """The file depends neither on the order of images, nor on the time, nor on having been read before."""
    first, second = labelled(a="cat", b="dog", d="cow"), labelled(c="emu")
    seen = NOTHING.then(first).then(second)
    write_seen(seen, tmp_path)
    before = (tmp_path / SEEN).read_bytes()
    other = SeenImages(labels=second.iloc[::-1], earlier=pd.Index([D, A, B], dtype=str))
    for same in (other, read_seen(tmp_path), SeenImages(labels=seen.labels, earlier=seen.earlier[::-1])):
        write_seen(same, tmp_path)
        assert (tmp_path / SEEN).read_bytes() == before


def test_million_images_take_little_space(tmp_path: Path) -> None:
    """A million images take 18 bytes each, and are read back."""
    hexadecimal = np.random.default_rng(0).bytes(16 * 10**6).hex()
    index = [hexadecimal[start : start + 32] for start in range(0, len(hexadecimal), 32)]
    labels = pd.Series(np.tile(["cat", "dog"], 5 * 10**5), index=pd.Index(index, dtype=str), dtype=str)
    read = round_trip(SeenImages(labels=labels[: 9 * 10**5], earlier=labels.index[9 * 10**5 :]), tmp_path)
    assert (tmp_path / SEEN).stat().st_size <= 18 * 10**6 + 2000
    assert read.labels.equals(labels[: 9 * 10**5].sort_index())
    assert len(read.earlier) == 10**5


def test_no_file(tmp_path: Path) -> None:
    """A missing list is an error, not an empty list."""
    with pytest.raises(CheckpointError, match=r"not readable.*dvc checkout"):
        read_seen(tmp_path)


def test_cut_files(tmp_path: Path) -> None:
    """A truncated file is a one-line error."""
    write_seen(NOTHING.then(labelled(a="cat", b="dog")), tmp_path)
    whole = (tmp_path / SEEN).read_bytes()
    for cut in cuts(whole)[:-1]:
        (tmp_path / SEEN).write_bytes(whole[:cut])
        with pytest.raises(CheckpointError) as raised:
            read_seen(tmp_path)
        assert len(str(raised.value).splitlines()) == 1


def test_damaged_files(tmp_path: Path) -> None:
    """A file with a changed byte is read as before or is an error, never as something else."""
    labels = labelled(a="cat", b="dog")
    write_seen(NOTHING.then(labels), tmp_path)
    whole = (tmp_path / SEEN).read_bytes()
    for position, change in zip(range(len(whole)), cycle((0xFF, 0x01)), strict=False):
        (tmp_path / SEEN).write_bytes(whole[:position] + bytes([whole[position] ^ change]) + whole[position + 1 :])
        try:
            read = read_seen(tmp_path)
        except CheckpointError:
            continue
        assert read.labels.to_dict() == labels.to_dict()


@pytest.mark.parametrize("missing", ["ids", "labels", "classes"])
def test_incomplete_files(tmp_path: Path, missing: str) -> None:
    """A file of another kind is an error."""
    arrays: dict[str, Any] = {name: np.zeros(0) for name in {"ids", "labels", "classes"} - {missing}}
    np.savez(tmp_path / SEEN, **arrays)
    with pytest.raises(CheckpointError):
        read_seen(tmp_path)


def test_pickles_are_not_loaded(tmp_path: Path) -> None:
    """Pickled objects are refused, since loading them could run code."""
    objects = np.array([Path("x")], dtype=object)
    np.savez(tmp_path / SEEN, ids=objects, labels=objects, classes=objects)
    with pytest.raises(CheckpointError):
        read_seen(tmp_path)


@given(st.dictionaries(ids, names, max_size=20), st.sets(ids, max_size=20), st.data())
def test_find(
    tmp_path_factory: pytest.TempPathFactory, labels: dict[str, str], earlier: set[str], data: st.DataObject
) -> None:
    """An id prefix finds the images with their labels, seen in the last training or before."""
    earlier -= set(labels)
    folder = tmp_path_factory.getbasetemp()
    write_seen(SeenImages(labels=pd.Series(labels, dtype=str), earlier=pd.Index(sorted(earlier), dtype=str)), folder)
    known: dict[str, str | None] = {**dict.fromkeys(earlier), **labels}
    start = data.draw(st.sampled_from([*sorted(known), "0" * 32]))[: data.draw(st.integers(0, 32))]
    assert find_seen(folder / SEEN, start) == {one: known[one] for one in known if one.startswith(start)}


def test_weights(tmp_path: Path) -> None:
    """Image weights are recorded; a changed weight is a change; without weights the file is the same as before."""
    labels = pd.Series(["cat", "dog"], index=[A, B], dtype=str)
    plain, heavy = NOTHING.then(labels), NOTHING.then(labels, pd.Series({B: 2.5}))
    write_seen(plain, tmp_path)
    before = (tmp_path / SEEN).read_bytes()
    assert read_seen(tmp_path).weights.empty
    write_seen(heavy, tmp_path)
    assert (tmp_path / SEEN).read_bytes() != before
    read = read_seen(tmp_path)
    assert read.weights.to_dict() == {B: 2.5}
    assert read.compare(labels, read.weights).changed == 0
    assert (read.compare(labels).relabelled, plain.compare(labels, heavy.weights).relabelled) == (1, 1)
    assert read.is_new(labels).tolist() == [False, True]
    assert find_seen(tmp_path / SEEN, A) == {A: "cat"}
    write_seen(read.then(labels), tmp_path)
    assert (tmp_path / SEEN).read_bytes() == before


twins = st.builds(lambda half, rest: half * 16 + rest * 16, st.sampled_from("ab"), st.sampled_from("0ab"))
odd = st.sampled_from(["", "00", "A" * 32, "g" * 32, "é" * 16, "ab " * 10 + "ab", "1" * 32])


@given(
    st.lists(st.one_of(ids, twins, odd), unique=True),
    st.lists(st.one_of(ids, twins, odd)),
    st.sampled_from([list, sorted]),
    st.randoms(use_true_random=False),
)
def test_positions(among: list[str], others: list[str], ordered: Any, random: Any) -> None:
    """Each id is found at its position, for any ids in any order."""
    wanted = others + among[::2]
    random.shuffle(wanted)
    index = pd.Index(ordered(among), dtype=str)
    found = positions(pd.Index(wanted, dtype=str), index)
    assert found.tolist() == index.get_indexer(pd.Index(wanted, dtype=str)).tolist()


@given(st.lists(ids, unique=True, min_size=1), st.lists(ids), st.sampled_from([list, sorted]))
def test_positions_of_hashes(among: list[str], others: list[str], ordered: Any) -> None:
    """Ids that are hashes, as in projects, are found at their positions."""
    index = pd.Index(ordered(among), dtype=str)
    wanted = pd.Index(others, dtype=str).append(pd.Index(among[::2], dtype=str))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seen_images, "ROWS", 3)
        assert positions(wanted, index).tolist() == index.get_indexer(wanted).tolist()
