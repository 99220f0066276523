"""Images of a group are in one split after any change; so are near-duplicates, or one of them is left out."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.params import Params, read_params
from pipeline.splits.assignment import assign, columns_for, split_of
from pipeline.splits.duplicates.grid import Sorted
from pipeline.splits.duplicates.near_duplicates import are_near
from pipeline.splits.groups import groups_of
from pipeline.splits.leaks import find_leaks

PARAMS = read_params(ROOT / "params.yaml")
PATIENT = "re:^(patient[0-9]+)_"


class Placed(NamedTuple):
    """An image in data/raw."""

    source: str
    key: str = "0" * 16
    attributes: str = ""
    label: str = "cat"
    shows: int = 0
    """Images of neighbouring numbers are near-duplicates, others are not."""


def asked(group: str | None, *, strip: dict[str, int] | None = None, **split: Any) -> Params:
    """Return params with these groups."""
    splits = PARAMS.manifest.split.model_copy(update={"group": group, **split})
    manifest = PARAMS.manifest.model_copy(update={"split": splits})
    ingest = PARAMS.ingest.model_copy(update={"strip": strip or {}})
    return PARAMS.model_copy(update={"manifest": manifest, "ingest": ingest})


def table(images: Sequence[Placed]) -> pa.Table:
    """Return the index of `images`."""
    return pa.table(
        {name: pa.array([getattr(one, name) for one in images], pa.string()) for name in Placed._fields[:4]}
    )


def group(source: str, rule: str, strip: dict[str, int] | None = None) -> str:
    """Return the group of the image `source`."""
    return groups_of(table([Placed(source)]), asked(rule, strip=strip))[0]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("cat/1.png", ""),
        ("cat/p1/1.png", "p1"),
        ("dog/p1/1.png", "p1"),
        ("cat/site/p1/1.png", "site/p1"),
        ("more.zip!/cat/p1/1.png", "p1"),
        ("cat/old.zip!/p1/1.png", "p1"),
        ("cat/old.zip!/1.png", ""),
        ("cat/p1/old.zip!/./1.png", "p1"),
        ("cat/a!/b/1.png", "a!/b"),
        ("1.png", ""),
        ("cat/e\u0301/1.png", "\xe9"),
    ],
)
def test_folder(source: str, expected: str) -> None:
    """The group is the folder below the class folder, also in archives; images directly in it have none."""
    assert group(source, "folder") == expected


def test_folder_beneath_others() -> None:
    """Folders above the class, which `ingest.strip` skips, are not groups."""
    strip = {"photos.zip": 1}
    assert group("photos.zip!/all/cat/1.png", "folder", strip) == ""
    assert group("photos.zip!/all/cat/p1/1.png", "folder", strip) == "p1"
    assert group("other.zip!/cat/p1/1.png", "folder", strip) == "p1"


@pytest.mark.parametrize(
    ("source", "rule", "expected"),
    [
        ("cat/patient7_03.png", PATIENT, "patient7"),
        ("more.zip!/cat/patient7_03.png", PATIENT, "patient7"),
        ("patient7_03.png", PATIENT, "patient7"),
        ("cat/7_03.png", PATIENT, ""),
        ("patient7/03.png", "re:^([^/]+)/", "patient7"),
        ("more.zip!/patient7/03.png", "re:^([^/]+)/", "patient7"),
        ("cat/s1/p2_3.png", "re:(s[0-9])/(p[0-9])", "s1/p2"),
        ("cat/p2_3.png", "re:p[0-9]", "p2"),
        ("cat/p2_3.png", "re:(x)?p", ""),
    ],
)
def test_expression(source: str, rule: str, expected: str) -> None:
    """The expression is searched in the file name, then in the path; a capture group limits the group's name."""
    assert group(source, rule) == expected


def test_column() -> None:
    """The column `group` of labels.csv is used without surrounding spaces; an empty cell means no group."""
    cells = [{"group": " p1 "}, {"camera": "x"}, {"group": "p1", "camera": "x"}]
    images = [Placed("cat/1.png", attributes=json.dumps(one)) for one in cells]
    assert groups_of(table([*images, Placed("cat/2.png")]), asked("labels")) == ["p1", "", "p1", ""]


def test_no_groups_are_the_splits_of_before() -> None:
    """Without groups the split depends only on the image's content."""
    images = [Placed(f"cat/{n}.png", f"{n * 7919:016x}") for n in range(200)]
    expected = [split_of(one.key, PARAMS.manifest) for one in images]
    for rule in (None, "folder", "labels", PATIENT):
        assert assign(table(images), asked(rule)).splits.tolist() == expected
    assert set(expected) == {"train", "val", "test"}


def test_patients() -> None:
    """Images of a patient are a group; images without one, and an index without the column, have none."""
    images = table([Placed("cat/1.dcm"), Placed("cat/2.dcm"), Placed("cat/3.png")])
    with_patients = images.append_column("patient", pa.array(["a1", "a1", None]))
    assert groups_of(with_patients, asked("patient")) == ["a1", "a1", ""]
    assert groups_of(images, asked("patient")) == ["", "", ""]
    assert "patient" in columns_for(asked("patient"))
    assert "patient" not in columns_for(asked("labels"))


def test_groups_of_a_name_are_one_however_they_are_said() -> None:
    """The same groups by folders and by a column give the same splits."""
    folders = [Placed(f"cat/p{n}/1.png", f"{n:016x}") for n in range(50)]
    cells = [Placed(f"{n}.png", attributes=json.dumps({"group": f"p{n}"})) for n in range(50)]
    names = [Placed(f"cat/p{n}_1.png") for n in range(50)]
    said = ((folders, "folder"), (cells, "labels"), (names, "re:^(p[0-9]+)_"))
    splits, groups, _ = zip(*(assign(table(images), asked(rule)) for images, rule in said), strict=True)
    assert groups[0] == groups[1] == groups[2]
    assert (splits[0] == splits[1]).all()
    assert (splits[0] == splits[2]).all()


def described(number: int) -> np.ndarray[Any, np.dtype[np.int8]]:
    """Return a descriptor that is near those of the neighbouring numbers."""
    row = np.random.default_rng(number // 3).integers(-60, 60, 64).astype(np.int8)
    row[:2] = 6, 0
    row[2:] += 2 * (number % 3)
    return row


names = st.sampled_from(["", "p1", "p2", "p3", "p4", "p5", "p6"])
images = st.builds(
    lambda label, name, number, key, shows: Placed(
        f"{label}/{name}{'/' if name else ''}{number}.png",
        key,
        json.dumps({"group": name} if name else {}),
        label,
        shows,
    ),
    st.sampled_from(["cat", "dog"]),
    names,
    st.integers(0, 99),
    st.sampled_from([f"{n:016x}" for n in range(30)]),
    st.integers(0, 8),
)
rules = st.sampled_from(["folder", "labels", "re:/(p[0-9])/"])


@settings(max_examples=60)
@given(st.lists(images, min_size=1, max_size=30), st.lists(images, max_size=10), rules, st.data())
def test_no_group_is_on_two_sides(some: list[Placed], more: list[Placed], rule: str, data: st.DataObject) -> None:
    """After any additions, removals and reordering no image moves, and no leak is in two splits."""
    params = asked(rule, val=0.3, test=0.3)
    drawn = dict(zip(some, assign(table(some), params).splits.tolist(), strict=True))
    kept = data.draw(st.permutations(some))[: data.draw(st.integers(0, len(some)))]
    then = kept + more
    splits, groups, _ = assign(table(then), params)
    assert all(drawn.get(one, split) == split for one, split in zip(then, splits, strict=True))
    for name in filter(None, set(groups)):
        assert len({split for split, own in zip(splits, groups, strict=True) if own == name}) == 1
    rows = np.array([described(one.shows) for one in then], np.int8).reshape(-1, 64)
    listed = np.flatnonzero(find_leaks(splits, Sorted.of(rows)) < 0)
    for at in listed:
        same = are_near(rows[listed], np.repeat(rows[at : at + 1], len(listed), 0))
        assert (splits[listed[same]] == splits[at]).all()
