"""Globs match as Python's fnmatch does, however they are looked up."""

from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from pipeline.ingestion.labelling.globs import Globs, is_glob

TEXT = st.text("ab1[]!-*?^\\/&~ ", max_size=8)


@given(st.lists(TEXT.filter(is_glob), max_size=6), st.lists(TEXT, max_size=6))
def test_globs_match_as_fnmatch_does(patterns: list[str], names: list[str]) -> None:
    """Any patterns match any names as fnmatch does, also if names are patterns."""
    globs = Globs((pattern, number) for number, pattern in enumerate(patterns))
    for name in [*names, *patterns, "a", "ab", "b1"]:
        assert globs.matching(name) == [at for at, pattern in enumerate(patterns) if fnmatchcase(name, pattern)]


def test_brackets_are_looked_up() -> None:
    """20,000 rows with brackets are looked up by name, and none is tried on each image."""
    globs = Globs((f"cat/img [{number}].png", number) for number in range(20_000))
    assert globs.matching("cat/img 7.png") == [number for number in range(20_000) if "7" in str(number)]
    assert not globs._begin  # The patterns that are tried one by one.
