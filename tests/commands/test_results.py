"""A stage's result is passed to the caller of `dvc repro` as values, not as a printed line."""

from pathlib import Path

import pytest

from pipeline.commands import results
from pipeline.result import ImageChange, Result


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty project."""
    monkeypatch.chdir(tmp_path)


def test_newest() -> None:
    """The newest result of a stage is returned until it is forgotten; other stages are not affected."""
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
    """An unreadable result is ignored."""
    results.note("ingest", Result("x", 1))
    (results.FOLDER / "ingest.json").write_text(content)
    assert results.newest("ingest") is None


def test_nowhere_to_write() -> None:
    """A stage does not fail if its result cannot be written."""
    results.FOLDER.parent.mkdir(parents=True)
    results.FOLDER.write_text("no folder")
    results.note("ingest", Result("x", 1))
    assert results.newest("ingest") is None
