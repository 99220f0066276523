"""labels.csv of two branches is merged row by row: it becomes the union, and no label changes silently."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands.merge.label_rows import Table, merge_labels

BEFORE = b"path,label\na.png,cat\nb.png,dog\n"


def table(*rows: str, columns: str = "path,label") -> bytes:
    """Return a labels.csv with these rows."""
    return "".join(f"{line}\n" for line in (columns, *rows)).encode()


def test_both_append() -> None:
    """Rows that either side added are all kept, ours first."""
    merged = merge_labels(BEFORE, BEFORE + b"c.png,cat\n", BEFORE + b"d.png,dog\n")
    assert merged == (BEFORE + b"c.png,cat\nd.png,dog\n", [])


def test_one_side_changes_and_the_other_removes_another() -> None:
    """A change to a row by one side only is taken."""
    merged = merge_labels(BEFORE, table("a.png,emu", "b.png,dog"), table("a.png,cat"))
    assert merged == (table("a.png,emu"), [])


@pytest.mark.parametrize(("take", "label"), [(None, "emu"), ("ours", "emu"), ("theirs", "fox")])
def test_two_labels_are_a_conflict(take: str | None, label: str) -> None:
    """Two labels for one path are a conflict that names both; choosing a side affects only that row."""
    ours, theirs = table("a.png,emu", "b.png,dog", "c.png,cat"), table("a.png,fox", "b.png,dog", "d.png,dog")
    merged = merge_labels(BEFORE, ours, theirs, take=take)  # type: ignore[arg-type]
    assert [str(one.what) for one in merged.conflicts] == [
        "changed here and there: a.png is 'emu' here and 'fox' there"
    ]
    assert merged.content == table(f"a.png,{label}", "b.png,dog", "c.png,cat", "d.png,dog")


@pytest.mark.parametrize(("take", "kept"), [("ours", []), ("theirs", ["a.png,fox"])])
def test_removed_and_changed(take: str, kept: list[str]) -> None:
    """A row that one side removed and the other relabelled is a conflict."""
    merged = merge_labels(BEFORE, table("b.png,dog"), table("a.png,fox", "b.png,dog"), take=take)  # type: ignore[arg-type]
    assert [one.what for one in merged.conflicts] == ["changed here and there: a.png is removed here and 'fox' there"]
    assert sorted(merged.content.decode().splitlines()[1:]) == sorted(["b.png,dog", *kept])


def test_columns_of_both() -> None:
    """Each side may add columns, and fill them for rows of the other side."""
    ours = table("a.png,cat,7", "b.png,dog,", columns="path,label,camera")
    theirs = table("north,a.png,cat", "south,b.png,dog", columns="site,path,label")
    merged = merge_labels(BEFORE, ours, theirs)
    assert merged.conflicts == []
    assert merged.content == table("a.png,cat,7,north", "b.png,dog,,south", columns="path,label,camera,site")


def test_no_ancestor() -> None:
    """If both sides created the file, the result is the union; a row on both sides is kept once."""
    merged = merge_labels(b"", table("a.png,cat", "b.png,dog"), table("b.png,dog", "c.png,emu"))
    assert merged == (table("a.png,cat", "b.png,dog", "c.png,emu"), [])


def test_odd_names_survive() -> None:
    """Commas, quotes, brackets and letters in two Unicode normal forms are kept."""
    before = b'"path","label"\n"a, ""b"" [1].png","cat"\n'
    merged = merge_labels(before, before, before + "e\N{COMBINING ACUTE ACCENT}.png,dog\n".encode())
    assert Table.parse(merged.content).rows.keys() == {'a, "b" [1].png', "é.png"}


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"path\na\n", b"path,label\na,b,c\n", b"path,label\na,x\n./a,y\n", b'path,label\n"a,b'],
)
def test_what_is_no_such_file(content: bytes) -> None:
    """A file whose rows cannot be parsed is not merged by rows."""
    with pytest.raises(ValueError, match=r".+"):
        merge_labels(BEFORE, content, BEFORE)


ROWS = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["cat", "dog", "emu"]))


def rendered(rows: dict[str, str]) -> bytes:
    """Return labels by path as a file."""
    return table(*(f"{path},{label}" for path, label in rows.items()))


def labels(content: bytes) -> dict[str, str]:
    """Return the label of each path."""
    return {path: row["label"] for path, row in Table.parse(content).rows.items()}


@given(ROWS, ROWS, ROWS)
def test_merge_is_that_of_each_path(before: dict[str, str], ours: dict[str, str], theirs: dict[str, str]) -> None:
    """Each path is as on the side that changed it, in either order; conflicts are named."""
    merged = merge_labels(rendered(before), rendered(ours), rendered(theirs))
    other = merge_labels(rendered(before), rendered(theirs), rendered(ours))
    disputed = set()
    for path in {*before, *ours, *theirs}:
        was, here, there = (side.get(path) for side in (before, ours, theirs))
        if here != there and was not in (here, there):
            disputed.add(path)
            continue
        expected = there if here == was else here
        assert labels(merged.content).get(path) == labels(other.content).get(path) == expected
    assert len(merged.conflicts) == len(other.conflicts) == len(disputed)
    taken = merge_labels(rendered(before), rendered(ours), rendered(theirs), take="theirs")
    assert all(labels(taken.content).get(path) == theirs.get(path) for path in disputed)
