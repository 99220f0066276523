"""The note of files that were never in a clone, and its replacement if it is missing."""

import subprocess
from pathlib import Path

import pytest

from pipeline import paths
from pipeline.versioning import git_guard, hashing
from pipeline.versioning.raw import absence
from pipeline.versioning.raw.absence import never_here, note_absent, read_absent

ODD = ["b\nb", "å/é.png", "a"]


@pytest.fixture(autouse=True)
def _repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a repository with two files in data/raw."""
    monkeypatch.chdir(tmp_path)
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"]):
        subprocess.run(command, check=True)
    paths.RAW.mkdir(parents=True)
    for name in ("a", "b"):
        (paths.RAW / name).write_text(name)


def test_the_note() -> None:
    """The note stores any names; a clone without it is fresh, or full if it was in sync with Git."""
    assert read_absent() is None
    note_absent(ODD)
    assert read_absent() == set(ODD)
    note_absent([])
    assert read_absent() == set()
    absence.NOTE.unlink()
    git_guard.note("0" * 32 + ".dir")
    assert read_absent() == set()
    absence.NOTE.write_text("[", encoding="utf-8")
    assert read_absent() is None


def test_what_is_noted_counts() -> None:
    """A noted and listed file that is missing was never local; others were."""
    note_absent(["c", "d", "b"])
    assert never_here({"a": "1", "b": "2", "c": "3", "e": "5"}, {"a": "1", "b": "2"}) == {"c"}


def test_without_a_note_dvc_remembers_what_it_has_hashed() -> None:
    """Without a note, a file counts as local before if DVC has hashed this content here."""
    _, listed = hashing.workspace_listing(paths.RAW)
    listed |= {"c": "3" * 32}
    (paths.RAW / "a").unlink()
    assert never_here(listed, {"b": listed["b"]}) == {"c"}
    assert never_here({**listed, "a": "0" * 32}, {"b": listed["b"]}) == {"a", "c"}
