"""The content of data/raw depends only on what is listed, what is local, and what was never local."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipeline.versioning.raw.rule import FileChange, belongs, in_the_way

PATHS = st.text("ab/", min_size=1, max_size=4)
LISTINGS = st.dictionaries(PATHS, st.sampled_from(["1", "2", "3"]), max_size=8)


@given(listed=LISTINGS, here=LISTINGS, never_here=st.sets(PATHS))
def test_every_file_is_here_absent_or_removed(
    listed: dict[str, str], here: dict[str, str], never_here: set[str]
) -> None:
    """Local files belong as they are, files that were never local belong as listed, and all others are removed."""
    found = belongs(listed, here, never_here)
    assert found.files == here | {path: listed[path] for path in found.absent}
    assert found.absent == (listed.keys() - here.keys()) & never_here
    assert found.before.keys() - found.files.keys() == (listed.keys() - here.keys()) - never_here
    assert found.files.keys() == here.keys() | found.absent
    # The rule is idempotent.
    again = belongs(found.files, here, found.absent)
    assert (again.files, again.absent) == (found.files, found.absent)
    assert FileChange.between(again.before, again.files) == FileChange()


@given(listed=LISTINGS, here=LISTINGS)
def test_a_full_folder_is_what_is_here(listed: dict[str, str], here: dict[str, str]) -> None:
    """Without absent files the local folder is the content."""
    found = belongs(listed, here, set())
    assert (found.files, found.absent) == (here, set())


@given(listed=LISTINGS, new=LISTINGS)
def test_what_was_never_here_is_never_removed(listed: dict[str, str], new: dict[str, str]) -> None:
    """In a fresh clone all listed files stay, except replaced ones."""
    found = belongs(listed, new, listed.keys())
    assert found.files == listed | new
    assert found.before.keys() <= found.files.keys()


@given(before=LISTINGS, now=LISTINGS)
def test_each_file_counts_once(before: dict[str, str], now: dict[str, str]) -> None:
    """Each file is counted once as added, removed, changed or moved; no lost content is unreported."""
    change, back = FileChange.between(before, now), FileChange.between(now, before)
    assert change.added + change.changed + change.moved == len(now.items() - before.items())
    assert change.removed + change.changed + change.moved == len(before.items() - now.items())
    lost = Counter(before.values()) - Counter(now.values())
    assert change.removed + change.changed >= lost.total()
    assert back == FileChange(change.removed, change.added, change.changed, change.moved)


def test_moved_is_what_lies_under_another_path() -> None:
    """Each new place takes one moved file, also at the place of another one; an existing copy takes none."""
    assert FileChange.between({"a": "1"}, {"b": "1"}) == FileChange(moved=1)
    assert FileChange.between({"a": "1", "b": "1"}, {"c": "1"}) == FileChange(removed=1, moved=1)
    assert FileChange.between({"a": "1"}, {"b": "1", "c": "1"}) == FileChange(added=1, moved=1)
    assert FileChange.between({"a": "1", "b": "1"}, {"b": "1"}) == FileChange(removed=1)
    assert FileChange.between({"a": "1", "b": "2"}, {"b": "1"}) == FileChange(removed=1, moved=1)
    assert FileChange.between({"a": "1", "b": "2"}, {"b": "1", "c": "2"}) == FileChange(moved=2)
    assert FileChange.between({"a": "1", "b": "2"}, {"a": "2", "b": "1"}) == FileChange(moved=2)
    assert FileChange.between({"a": "1"}, {"a": "2", "b": "1"}) == FileChange(added=1, moved=1)
    assert FileChange.between({"a": "1", "b": "2"}, {"a": "3"}) == FileChange(removed=1, changed=1)


def test_in_the_way() -> None:
    """A file cannot have the path of a folder of others, at any depth, in either direction."""
    assert in_the_way(["cat/1.png", "dog/2.png"], ["cat/3.png", "cat.zip"]) is None
    assert in_the_way(["cat/1.png"], ["cat"]) == "cat"
    assert in_the_way(["a/b"], ["a/b/c/d.png"]) == "a/b"
    assert in_the_way([], ["a", "a/b"]) is None
