"""Three versions of data/raw are merged into one in which nothing is lost, doubled or guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands.merge.listings import Listing, merge, removed_but_packed

PATHS = st.sampled_from([f"{label}/{name}" for label in ("cat", "dog") for name in "abcd"])
LISTINGS = st.dictionaries(PATHS, st.sampled_from("12345678"))


def images(*listings: Listing) -> set[str]:
    """Return the images in `listings`."""
    return {md5 for listing in listings for md5 in listing.values()}


@given(ancestor=LISTINGS, theirs=LISTINGS)
def test_one_side_alone_is_taken(ancestor: Listing, theirs: Listing) -> None:
    """If one side made no change, the other side is the result."""
    assert merge(ancestor, ancestor, theirs) == (theirs, [])
    assert merge(ancestor, theirs, ancestor) == (theirs, [])
    assert merge(ancestor, theirs, theirs) == (theirs, [])


@given(ancestor=LISTINGS, ours=LISTINGS, theirs=LISTINGS)
def test_order_does_not_matter(ancestor: Listing, ours: Listing, theirs: Listing) -> None:
    """Swapping the sides gives the same result and the same conflicts."""
    one, other = merge(ancestor, ours, theirs), merge(ancestor, theirs, ours)
    assert [conflict.path for conflict in one.conflicts] == [conflict.path for conflict in other.conflicts]
    if not one.conflicts:
        assert one.files == other.files
    assert merge(ancestor, ours, theirs, take="theirs").files == merge(ancestor, theirs, ours, take="ours").files


@given(ancestor=LISTINGS, ours=LISTINGS, theirs=LISTINGS)
def test_nothing_is_lost_without_a_conflict(ancestor: Listing, ours: Listing, theirs: Listing) -> None:
    """Images that a side added or both sides kept are in the result, and no others."""
    merged = merge(ancestor, ours, theirs)
    if merged.conflicts:
        return
    for side in (ours, theirs):
        assert {(path, md5) for path, md5 in side.items() if ancestor.get(path) != md5} <= {*merged.files.items()}
    kept = {path for path in ancestor if ours.get(path) == theirs.get(path) == ancestor[path]}
    assert all(merged.files[path] == ancestor[path] for path in kept)
    assert images(merged.files) <= images(ours, theirs)
    assert not images(merged.files) & images(ancestor) - (images(ours) & images(theirs))


@given(ancestor=LISTINGS, ours=LISTINGS, theirs=LISTINGS)
def test_whoever_is_right_is_right_in_all(ancestor: Listing, ours: Listing, theirs: Listing) -> None:
    """The chosen side has its images where it put them, and none that it removed."""
    merged = merge(ancestor, ours, theirs, take="ours").files
    for path, md5 in ours.items():
        assert merged.get(path) == md5 or ancestor.get(path) == md5
    assert not images(merged) & images(ancestor) - images(ours)


@pytest.mark.parametrize(
    ("ours", "theirs", "what"),
    [
        ({"cat/a": "2"}, {"cat/a": "3"}, "changed here and there"),
        ({}, {"cat/a": "3"}, "removed here and changed there"),
        ({"cat/a": "2"}, {}, "changed here and removed there"),
        ({"dog/a": "1"}, {}, "moved to dog/a here and removed there"),
        ({}, {"dog/a": "1"}, "removed here and moved to dog/a there"),
        ({"cat/b": "1"}, {}, "moved to cat/b here and removed there"),
        ({}, {"cat/a": "1", "cat/b": "1"}, "removed here and copied to cat/b there"),
        ({"dog/a": "1"}, {"emu/a": "1"}, "put into dog here and into emu there"),
        ({"dog/a": "1"}, {"cat/a": "1", "cat/b": "1"}, "put into dog here and into cat there"),
        ({"cat/a": "1", "cat/n": "9"}, {"cat/a": "1", "dog/n": "9"}, "put into cat here and into dog there"),
        ({"cat/a": "1", "x": "2"}, {"cat/a": "1", "x/y": "3"}, "a file on one side and a folder on the other"),
        ({"cat/a": "1", "cat/b": "2"}, {"cat/a": "1", "cat/b": "3"}, "added here and there with other content"),
    ],
)
def test_disagreements_are_conflicts(ours: Listing, theirs: Listing, what: str) -> None:
    """Different changes by both sides to a file or its image are a conflict; a choice of side resolves it."""
    merged = merge({"cat/a": "1"}, ours, theirs)
    assert [conflict.what for conflict in merged.conflicts] == [what]
    assert merge({"cat/a": "1"}, ours, theirs, take="ours").files == ours
    assert merge({"cat/a": "1"}, ours, theirs, take="theirs").files == theirs


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({}, {}, {}),
        ({"dog/a": "1"}, {"dog/a": "1"}, {"dog/a": "1"}),
        ({"dog/a": "1"}, {"cat/a": "1", "cat/b": "2"}, {"dog/a": "1", "cat/b": "2"}),
        ({"cat/new": "1"}, {"cat/other": "1"}, {"cat/new": "1", "cat/other": "1"}),
        ({"cat/a": "1", "dog/c": "3"}, {"cat/a": "1", "dog/d": "3"}, {"cat/a": "1", "dog/c": "3", "dog/d": "3"}),
    ],
)
def test_agreements_are_none(ours: Listing, theirs: Listing, expected: Listing) -> None:
    """Equal changes by both sides, or a change by one side only, are no conflict."""
    assert merge({"cat/a": "1"}, ours, theirs) == (expected, [])


def test_packed_on_one_side_and_removed_on_the_other() -> None:
    """A new archive that may contain images that the other side removed is reported."""
    before = {"cat/a": "1", "cat/b": "2"}
    assert removed_but_packed(before, {"packed-1.zip": "3"}, {"cat/b": "2"}) == ["cat/a"]
    assert removed_but_packed(before, {"cat/b": "2"}, {"cat/b": "2"}) == []
