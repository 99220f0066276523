"""What is measured, read back."""

from pathlib import Path

import pytest

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.lineage.recorded_metrics import read_metrics


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty project."""
    monkeypatch.chdir(tmp_path)
    paths.REPORT.mkdir(parents=True)


def test_there_may_be_none() -> None:
    """Before the first run."""
    assert read_metrics() is None
    paths.METRICS.write_text('{"accuracy": 0.5}')
    metrics = read_metrics()
    assert metrics is not None
    assert metrics["accuracy"] == 0.5


@pytest.mark.parametrize("content", [b"", b"<<<<<<< HEAD\n{}", b"\xff", b"[]", b"null", b"[" * 100_000])
def test_damage_is_an_error(content: bytes) -> None:
    """In one line, with the command that mends it."""
    paths.METRICS.write_bytes(content)
    with pytest.raises(RecordError, match=r"metrics.json: no JSON of what was measured; run `git checkout"):
        read_metrics()
