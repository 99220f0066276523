"""Renaming, merging, splitting and dropping, one after the other, lose no class and mean what they meant."""

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
    """A class that gets its former name back needs its row no more; what knows it by the other name keeps up."""
    mapping = merge(merge(ClassMapping(), ["cat"], "tom"), ["tom"], "cat")
    assert mapping.rows == [("tom", "cat")]
    assert (mapping.label("cat"), mapping.label("tom")) == ("cat", "cat")


def test_split_taken_back() -> None:
    """Merged again, the parts of a class are that class; one of them alone leaves the other a part of it."""
    parted = split(ClassMapping(), "pet", ["cat", "dog"])
    assert merge(parted, ["cat", "dog"], "pet").rows == [("cat", "pet"), ("dog", "pet")]
    assert merge(parted, ["cat"], "pet").rows == [("cat", "pet"), ("pet", "dog"), ("pet", "pet")]


def test_split_into_one() -> None:
    """A new class that parts from another one leaves that in place, and more can follow."""
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
    """A name stands for one thing, also in what was labelled long ago."""
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
    """Classes, and what they stand for, worked out without any rows."""

    def __init__(self) -> None:
        self.mapping = ClassMapping()
        self.now = {name: {name} for name in "abcdefg"}
        """The labels that each class stands for."""
        self.called = {name: {name} for name in self.now}
        """Every name that images of a label ever had."""

    def change(self, kind: str, names: list[str]) -> None:
        """Do it, unless the command would refuse it: it takes classes that are there alone."""
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
        """The class of a label, None where that is dropped."""
        return next((name for name, labels in self.now.items() if label in labels), None)


@settings(max_examples=300)
@given(CHANGES)
def test_any_history(changes: list[tuple[str, list[str]]]) -> None:
    """Whatever a class was called at any time, its images have the name now that the changes gave them.

    What is refused changes nothing. The rows that are left mean the same read from a file, and applied once more.
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
