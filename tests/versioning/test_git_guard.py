"""ingest refuses to run if Git has moved on without the images."""

import subprocess
from pathlib import Path

import pytest

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.versioning import git_guard, objects

OIDS = [f"{digit * 32}.dir" for digit in "0123"]


@pytest.fixture(autouse=True)
def _repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a repository whose data/raw.dvc lists the images 0."""
    monkeypatch.chdir(tmp_path)
    paths.DATA.mkdir()
    subprocess.run(["git", "init", "--quiet"], check=True)
    record(OIDS[0])


def record(oid: str) -> None:
    """Put a data/raw.dvc of `oid` into Git's index."""
    paths.RAW_DVC.write_text(f"outs:\n- md5: {oid}\n  path: raw\n")
    subprocess.run(["git", "add", "data/raw.dvc"], check=True)


def lacks(monkeypatch: pytest.MonkeyPatch, files: list[str] | None) -> None:
    """Make DVC's cache lack these files, or all listings."""
    monkeypatch.setattr(objects, "missing_files", lambda *_, **__: files)


def test_images_that_were_added_or_removed_here_are_fine() -> None:
    """Local additions and removals are accepted as long as Git's record is the same."""
    git_guard.note(OIDS[0])
    for oid in OIDS:
        git_guard.check_followed(oid)


def test_what_was_committed_is_fine() -> None:
    """After a run, data/raw.dvc is what ingest read, staged or committed, and new images may follow."""
    git_guard.note(OIDS[1])
    record(OIDS[1])
    git_guard.check_followed(OIDS[2])


def test_git_has_gone_on() -> None:
    """If data/raw.dvc lists others' images that are not local, the error says so, with a hint."""
    git_guard.note(OIDS[0])
    record(OIDS[1])
    with pytest.raises(RecordError, match=r"pipeline sync.*--keep"):
        git_guard.check_followed(OIDS[0])
    with pytest.raises(RecordError, match="Git has moved to a version"):
        git_guard.check_followed(OIDS[2])
    git_guard.check_followed(OIDS[1])  # They are local now, for example by `dvc checkout`.


def test_images_that_have_never_been_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a fresh clone without a note, files that are not in the cache were not removed."""
    lacks(monkeypatch, ["a", "b"])
    with pytest.raises(RecordError, match=r"2 files that data/raw.dvc lists in Git have never been here"):
        git_guard.check_followed(OIDS[1], [])
    lacks(monkeypatch, None)
    with pytest.raises(RecordError, match=r"not in DVC's cache, so it is not known what is missing; if no file is"):
        git_guard.check_followed(OIDS[1], [])
    lacks(monkeypatch, [])
    git_guard.check_followed(OIDS[1], [])


def test_conflict() -> None:
    """A data/raw.dvc with a merge conflict is an error."""
    blobs = [
        subprocess.run(["git", "hash-object", "-w", "--stdin"], input=text, check=True, capture_output=True)
        .stdout.decode()
        .strip()
        for text in (b"1", b"2", b"3")
    ]
    entries = "".join(f"100644 {blob} {stage}\t{paths.RAW_DVC}\n" for stage, blob in enumerate(blobs, start=1))
    subprocess.run(["git", "rm", "--quiet", "--cached", str(paths.RAW_DVC)], check=True)
    subprocess.run(["git", "update-index", "--index-info"], input=entries.encode(), check=True)
    with pytest.raises(RecordError, match="is in conflict; run `pipeline resolve`"):
        git_guard.check_followed(OIDS[0])


@pytest.mark.parametrize("content", [b"", b"one line", b"\xff\n\xfe\n", b"a\nb\nc\n"])
def test_damaged_note_is_none(content: bytes) -> None:
    """A damaged note is ignored."""
    git_guard.NOTE.parent.mkdir(parents=True)
    git_guard.NOTE.write_bytes(content)
    assert git_guard.read_note() is None


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Git there is no check."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").rename(tmp_path / "gone")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    git_guard.check_followed(OIDS[3])
