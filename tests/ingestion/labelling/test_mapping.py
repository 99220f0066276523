"""data/classes.csv states how classes changed; contradictions are one-line errors."""

from pathlib import Path

import pytest

from pipeline.errors import RecordError
from pipeline.ingestion.labelling.mapping import ClassMapping, read_rows, to_text

WHERE = Path("data/classes.csv")


def test_chains_are_followed() -> None:
    """A class that was renamed twice has its last name, from each former name."""
    mapping = ClassMapping([("a", "b"), ("b", "c"), ("x", "c")])
    assert [mapping.label(name) for name in ("a", "b", "c", "x", "other")] == ["c", "c", "c", "c", "other"]


def test_dropped_classes_have_no_name() -> None:
    """A dropped class has no name, and neither has a class renamed to it."""
    mapping = ClassMapping([("a", "b"), ("b", "")])
    assert [mapping.label(name) for name in ("a", "b", "c")] == [None, None, "c"]
    assert mapping.descendants("a") == []


def test_images_of_a_split_class_stay_what_they_are() -> None:
    """Images of a split class keep their class; the new classes, with their current names, and itself come of it."""
    mapping = ClassMapping(
        [("pet", "cat"), ("pet", "dog"), ("pet", "emu"), ("cat", "tom"), ("emu", ""), ("old", "pet")]
    )
    assert (mapping.label("pet"), mapping.label("old")) == ("pet", "pet")
    assert mapping.is_split("pet")
    assert not mapping.is_split("cat")
    assert sorted(mapping.descendants("old")) == ["dog", "pet", "tom"]


def test_splits_may_go_round() -> None:
    """A class that is split into itself and another one, which is split again, has both."""
    mapping = ClassMapping([("a", "a"), ("a", "b"), ("b", "b"), ("b", "a")])
    assert sorted(mapping.descendants("b")) == ["a", "b"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "b"), ("b", "a")], "data/classes.csv: a → b → a is a cycle; remove one of these rows"),
        ([("x", "a"), ("a", "b"), ("b", "c"), ("c", "a")], "is a cycle"),
        ([("a", ""), ("a", "b")], "data/classes.csv: one row drops a, another one makes it b; leave one of them"),
    ],
)
def test_contradictions(rows: list[tuple[str, str]], message: str) -> None:
    """Cycles, and classes both dropped and kept, are errors."""
    with pytest.raises(RecordError) as error:
        ClassMapping(rows)
    assert message in str(error.value)


def test_a_row_that_says_nothing() -> None:
    """A class that is mapped to itself does not change."""
    assert ClassMapping([("a", "a")]).label("a") == "a"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "its first line is not `old,new`; run `git checkout data/classes.csv`"),
        (b"new,old\na,b\n", "its first line is not `old,new`"),
        (b"old,new\n<<<<<<< ours\n", "line 2 does not have two cells"),
        (b"old,new\na,b,c\n", "line 2 does not have two cells; write `old,new`, or `old,` to drop a class"),
        (b"old,new\n,b\n", "line 2: '' cannot be the name of a class"),
        (b"old,new\n\na/b,c\n", "line 3: 'a/b' cannot be the name of a class"),
        (b"old,new\na,b\x07\n", "cannot be the name of a class"),
        (b"old,new\n\xff,b\n", "not a CSV file in UTF-8"),
    ],
)
def test_files_that_cannot_be_read(content: bytes, message: str) -> None:
    """Anything but a table of two columns of classes is an error that names the place."""
    with pytest.raises(RecordError) as error:
        read_rows(content, WHERE)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_spreadsheets_and_spellings() -> None:
    """Byte-order marks, Windows line ends, spaces and both Unicode forms of é make no difference."""
    content = "\ufeffold, new\r\ncafe\u0301 ,caf\u00e9 au lait\r\ndog, \r\n".encode()
    assert read_rows(content, WHERE) == [("caf\u00e9", "caf\u00e9 au lait"), ("dog", "")]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Rows are sorted and unique; names may contain commas and quotes. Without a file nothing changes."""
    rows = [('a,"b"', "c"), ("b", ""), ("b\u2028b", "x")]
    assert read_rows(to_text([*rows, *rows]).encode(), WHERE) == sorted(rows)
    assert ClassMapping.read(tmp_path / "none").rows == []
