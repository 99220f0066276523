"""What belongs to data/raw follows from what is listed, what is here, and what was never here; from nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.versioning.raw.rule import belongs, in_the_way

PATHS = st.text("ab/", min_size=1, max_size=4)
LISTINGS = st.dictionaries(PATHS, st.sampled_from(["1", "2", "3"]), max_size=8)


@given(listed=LISTINGS, here=LISTINGS, never_here=st.sets(PATHS))
def test_every_file_is_here_absent_or_removed(
    listed: dict[str, str], here: dict[str, str], never_here: set[str]
) -> None:
    """What is here belongs as it is here; of the rest what was never here, as it is listed."""
    found = belongs(listed, here, never_here)
    assert found.files == here | {path: listed[path] for path in found.absent}
    assert found.absent == (listed.keys() - here.keys()) & never_here
    assert found.removed == (listed.keys() - here.keys()) - never_here
    assert found.files.keys() == here.keys() | found.absent
    # Said of what came of it, the same comes of it again.
    again = belongs(found.files, here, found.absent)
    assert (again.files, again.absent, again.removed) == (found.files, found.absent, set())


@given(listed=LISTINGS, here=LISTINGS)
def test_a_full_folder_is_what_is_here(listed: dict[str, str], here: dict[str, str]) -> None:
    """Where nothing is absent, the folder says it all."""
    found = belongs(listed, here, set())
    assert (found.files, found.absent) == (here, set())


@given(listed=LISTINGS, new=LISTINGS)
def test_what_was_never_here_is_never_removed(listed: dict[str, str], new: dict[str, str]) -> None:
    """In a fresh clone all that is listed stays, but for what is replaced."""
    found = belongs(listed, new, listed.keys())
    assert found.files == listed | new
    assert not found.removed


def test_in_the_way() -> None:
    """A file cannot lie where others have a folder, at any depth, in either direction."""
    assert in_the_way(["cat/1.png", "dog/2.png"], ["cat/3.png", "cat.zip"]) is None
    assert in_the_way(["cat/1.png"], ["cat"]) == "cat"
    assert in_the_way(["a/b"], ["a/b/c/d.png"]) == "a/b"
    assert in_the_way([], ["a", "a/b"]) is None
