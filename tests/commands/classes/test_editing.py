"""Renaming, merging, splitting and dropping in sequence lose no class and keep their meaning."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import paths
from pipeline.commands.classes.editing import drop, merge, split
from pipeline.errors import RecordError
from pipeline.ingestion.labelling.mapping import ClassMapping, read_rows, to_text

NAMES = st.sampled_from(list("abcdefg"))
CHANGES = st.lists(st.tuples(st.sampled_from(["merge", "split", "drop"]), st.lists(NAMES, min_size=2, max_size=3)))


def test_renamed_back() -> None:
    """A class that gets its former name back needs no row; rows that refer to its other name are updated."""
    mapping = merge(merge(ClassMapping(), ["cat"], "tom"), ["tom"], "cat")
    assert mapping.rows == [("tom", "cat")]
    assert (mapping.label("cat"), mapping.label("tom")) == ("cat", "cat")


def test_split_taken_back() -> None:
    """If the parts of a class are merged again, they are that class; a single part leaves the other part as it is."""
    parted = split(ClassMapping(), "pet", ["cat", "dog"])
    assert merge(parted, ["cat", "dog"], "pet").rows == [("cat", "pet"), ("dog", "pet")]
    assert merge(parted, ["cat"], "pet").rows == [("cat", "pet"), ("pet", "dog"), ("pet", "pet")]


def test_split_into_one() -> None:
    """A class that is split off another one leaves the other in place, and more can follow."""
    mapping = split(ClassMapping(), "pet", ["cat"])
    assert mapping.rows == [("pet", "cat"), ("pet", "pet")]
    assert split(mapping, "pet", ["dog"]).rows == [("pet", "cat"), ("pet", "dog"), ("pet", "pet")]


@pytest.mark.parametrize(
    ("rows", "olds", "new", "message"),
    [
        ([("a", "b")], ["x"], "a", "a is a former name of b; choose another name, or use b"),
        ([("a", "")], ["x"], "a", "a is dropped; choose another name, or remove its row"),
        ([("a", "b"), ("a", "c")], ["a"], "x", "a is split into b and c; after a model was trained on these"),
    ],
)
def test_names_that_are_taken(rows: list[tuple[str, str]], olds: list[str], new: str, message: str) -> None:
    """A name stands for one class only, also in old labels."""
    with pytest.raises(RecordError) as error:
        merge(ClassMapping(rows), olds, new)
    assert message in str(error.value)


def _apply(kind: str, names: list[str], mapping: ClassMapping) -> ClassMapping:
    old, *others = names
    if kind == "merge":
        return merge(mapping, [old, *others[:-1]], others[-1])
    return (
        drop(mapping, old) if kind == "drop" else split(mapping, old, [name for name in others if name != old] or ["z"])
    )


class History:
    """A model of classes and the labels that they stand for, computed without rows."""

    def __init__(self) -> None:
        self.mapping = ClassMapping()
        self.now = {name: {name} for name in "abcdefg"}
        """The labels that each class stands for."""
        self.called = {name: {name} for name in self.now}
        """Every name that images of a label ever had."""

    def change(self, kind: str, names: list[str]) -> None:
        """Apply the change, unless the command would refuse it because a class does not exist."""
        olds = names[:-1] if kind == "merge" else names[:1]
        if not {*olds} <= self.now.keys():
            return
        try:
            self.mapping = _apply(kind, names, self.mapping)
        except RecordError:
            return
        if kind == "split":
            return
        labels = set().union(*(self.now.pop(old) for old in {*olds}))
        if kind == "merge":
            self.now.setdefault(names[-1], set()).update(labels)
            for label in labels:
                self.called[label].add(names[-1])

    def name_of(self, label: str) -> str | None:
        """Return the class of a label; None if it was dropped."""
        return next((name for name, labels in self.now.items() if label in labels), None)


@settings(max_examples=300)
@given(CHANGES)
def test_any_history(changes: list[tuple[str, list[str]]]) -> None:
    """After any sequence of changes, an image with any former class name has the name that the changes imply.

    A refused change has no effect. The remaining rows mean the same after they are read from a file or applied again.
    """
    history = History()
    for kind, names in changes:
        history.change(kind, names)
    mapping = history.mapping
    for label, called in history.called.items():
        assert {mapping.label(one) for one in called} == {history.name_of(label)}
    again = ClassMapping(read_rows(to_text(mapping.rows).encode(), paths.CLASSES))
    for name in "abcdefgz":
        now = mapping.label(name)
        assert again.label(name) == now
        assert mapping.label(now or "") in {now, ""}
        assert {*mapping.descendants(name)} == {mapping.label(one) for one in mapping.descendants(name)}
