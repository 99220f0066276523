"""What a stage did comes to whoever runs `dvc repro` as values, not as the line that it prints."""

from pathlib import Path

import pytest

from pipeline.commands import results
from pipeline.result import ImageChange, Result


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty project."""
    monkeypatch.chdir(tmp_path)


def test_newest() -> None:
    """What was noted last is what is known, of that stage alone, until it is forgotten."""
    results.forget("ingest")
    assert results.newest("ingest") is None
    results.note("ingest", Result("3 images", 2, ImageChange(new=2)))
    told = Result("1,600 images", 600, ImageChange(new=1600, removed=12))
    results.note("ingest", told)
    results.note("train", Result("50 steps", 50))
    assert results.newest("ingest") == told
    results.forget("ingest")
    assert results.newest("ingest") is None
    assert results.newest("train") == Result("50 steps", 50)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"summary": "x", "amount": "many"}', "\x00"])
def test_damaged(content: str) -> None:
    """What cannot be read is taken for nothing."""
    results.note("ingest", Result("x", 1))
    (results.FOLDER / "ingest.json").write_text(content)
    assert results.newest("ingest") is None


def test_nowhere_to_write() -> None:
    """No stage fails for want of a place for it."""
    results.FOLDER.parent.mkdir(parents=True)
    results.FOLDER.write_text("no folder")
    results.note("ingest", Result("x", 1))
    assert results.newest("ingest") is None
