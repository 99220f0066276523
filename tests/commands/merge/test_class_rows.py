"""data/classes.csv of two branches is merged class by class; a class that both changed is a conflict."""

import pytest

from pipeline.commands.merge.class_rows import merge_classes
from pipeline.errors import MergeError, RecordError


def version(*rows: str) -> bytes:
    """Return a version of the file."""
    return "".join(f"{row}\n" for row in ("old,new", *rows)).encode()


@pytest.mark.parametrize(
    ("ancestor", "ours", "theirs", "merged"),
    [
        ([], ["a,b"], ["c,"], ["a,b", "c,"]),
        (["a,b"], ["a,b", "c,d"], [], ["c,d"]),
        (["a,b"], ["a,b", "x,y"], ["a,z"], ["a,z", "x,y"]),
        ([], ["a,b"], ["a,b", "b,c"], ["a,b", "b,c"]),
        ([], ["p,a", "p,b"], ["p,a", "p,c"], ["p,a", "p,b", "p,c"]),
        ([], ["a,m", "b,m"], ["c,m"], ["a,m", "b,m", "c,m"]),
    ],
)
def test_both_sides_count(ancestor: list[str], ours: list[str], theirs: list[str], merged: list[str]) -> None:
    """A change by one side is taken, whichever side it is."""
    versions = [version(*rows) for rows in (ancestor, ours, theirs)]
    assert merge_classes(*versions) == version(*merged)
    assert merge_classes(versions[0], versions[2], versions[1]) == version(*merged)


def test_without_an_ancestor() -> None:
    """The merge works if both sides created the file."""
    assert merge_classes(b"", version("a,b"), version("c,d")) == version("a,b", "c,d")


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (["a,b"], ["a,c"], "data/classes.csv: a becomes b here and becomes c there; run `pipeline resolve --ours`"),
        (["a,b", "x,"], ["a,", "x,y"], "a becomes b here and is dropped there, and 1 more class;"),
        (["p,a", "p,b"], ["p,c"], "p becomes a and b here and becomes c there;"),
        (["a,b"], ["b,a"], "both sides together: a → b → a is a cycle;"),
    ],
)
def test_conflicts(ours: list[str], theirs: list[str], message: str) -> None:
    """Conflicts are listed; choosing a side resolves them, and the rest is merged."""
    sides = version(*ours, "other,one"), version(*theirs)
    with pytest.raises(MergeError) as error:
        merge_classes(version(), *sides)
    assert message in str(error.value)
    assert merge_classes(version(), *sides, take="ours") == version(*sorted([*ours, "other,one"]))
    taken = merge_classes(version(), *sides, take="theirs").decode().splitlines()
    assert set(theirs) <= set(taken)


def test_unreadable_side() -> None:
    """If a side is unreadable, no other side is taken as a whole."""
    with pytest.raises(RecordError, match="its first line is not"):
        merge_classes(version(), version("a,b"), b"<<<<<<<\n")
