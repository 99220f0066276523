"""data/erased.csv lists images to erase completely, and merges as text."""

import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.ingestion.erasure import note_erased, read_erased

IDS = [f"{number:032x}" for number in (7, 3, 11)]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty project the working directory."""
    monkeypatch.chdir(tmp_path)


def test_what_is_noted_stays() -> None:
    """Ids are added once each, in sorted lines; without the file nothing is erased."""
    assert read_erased() == frozenset()
    note_erased(IDS[:1])
    note_erased(IDS)
    assert read_erased() == frozenset(IDS)
    assert paths.ERASED.read_text().splitlines() == ["id", *sorted(IDS)]


@pytest.mark.parametrize("line", ["<<<<<<< HEAD", "cat/1.png", "A" * 32, "é"])
def test_what_is_no_id_is_an_error(line: str) -> None:
    """A line that is not an id is an error, rather than ignored silently."""
    note_erased(IDS)
    with paths.ERASED.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    with pytest.raises(RecordError, match=r"is not the id of an image; run `git checkout data/erased.csv`"):
        read_erased()


def test_both_sides_of_a_merge_are_kept() -> None:
    """Git keeps the lines of both branches, without a conflict."""

    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], check=True, capture_output=True)

    git("init", "--quiet", "--initial-branch=main")
    Path(".gitattributes").write_text((ROOT / ".gitattributes").read_text())
    note_erased([])
    for branch, image_id in (("main", None), ("theirs", IDS[0]), ("ours", IDS[1])):
        if image_id:
            git("checkout", "--quiet", "-b", branch, "main")
            note_erased([image_id])
        git("add", "--all")
        git("commit", "--quiet", "--message", branch)
    git("merge", "--quiet", "theirs")
    assert read_erased() == frozenset(IDS[:2])
