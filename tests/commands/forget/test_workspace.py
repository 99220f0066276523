"""Which files of the project's folder have to be deleted with an image."""

import hashlib
from pathlib import Path

import pytest
from dvc_objects.fs.utils import tmp_fname

from pipeline.commands.forget.workspace import made_of

IMAGE = b"the image as it came"
ID = hashlib.md5(IMAGE).hexdigest()
LISTS = ("data/manifest/test.csv", "data/report/predictions.csv", "data/report/suspects.csv")


@pytest.mark.parametrize("listing", LISTS)
def test_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listing: str) -> None:
    """The page is deleted if one of the lists of what it shows contains the image, with the files about it."""
    monkeypatch.chdir(tmp_path)
    for name in LISTS:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("id\nother\n")
    Path("data/report/report.html").write_text("<html>")
    assert made_of([ID], []) == []
    Path(listing).write_text(f"id\n{ID}\n")
    assert {path.name for path in made_of([ID], [])} == {"report.html", "predictions.csv", "suspects.csv"}


def test_copies_for_labelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies by `pipeline next` are deleted under any name; other files of the batch stay."""
    monkeypatch.chdir(tmp_path)
    batch = Path("data/next-0123")
    batch.mkdir(parents=True)
    (batch / "0001-a.png").write_bytes(IMAGE)
    (batch / "0002-b.png").write_bytes(b"another one")
    assert made_of([ID], []) == [batch / "0001-a.png"]


def test_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All pages on request are deleted, since it is unknown which images they show."""
    monkeypatch.chdir(tmp_path)
    page = Path("data/pages/report-0123456.html")
    page.parent.mkdir(parents=True)
    page.write_text("<html>")
    assert made_of([ID], []) == [page.parent]


def test_copies_that_a_kill_left_unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Incomplete copies by DVC are deleted anywhere, since their content is unknown; users' files stay."""
    monkeypatch.chdir(tmp_path)
    raw = Path("data/raw/a")
    raw.mkdir(parents=True)
    copies = [raw / tmp_fname(), raw / tmp_fname()]
    for path in (*copies, raw / ".mine.tmp", raw / "b.tmp"):
        path.write_bytes(b"half of an im")
    assert made_of([ID], []) == sorted(copies)
