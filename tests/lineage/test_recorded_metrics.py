"""Read recorded metrics."""

import json
from pathlib import Path

import pytest

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.lineage.recorded_metrics import in_files, read_metrics


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty project."""
    monkeypatch.chdir(tmp_path)
    paths.REPORT.mkdir(parents=True)


def test_there_may_be_none() -> None:
    """Before the first run there are no metrics."""
    assert read_metrics() is None
    paths.METRICS.write_text('{"accuracy": 0.5}')
    metrics = read_metrics()
    assert metrics is not None
    assert metrics["accuracy"] == 0.5


def test_details_are_beside_it() -> None:
    """metrics.json and details.json are read together; an earlier release's metrics.json contains everything."""
    paths.METRICS.write_text('{"accuracy": 0.5, "model": "0123abcd"}')
    paths.DETAILS.write_text('{"classes": {"a": {}}, "slices": {}, "verdict": "good", "model": "0123abcdef.dir"}')
    metrics = read_metrics()
    assert metrics is not None
    assert (metrics["accuracy"], [*metrics["classes"]], metrics["model"]) == (0.5, ["a"], "0123abcdef.dir")
    parts = {path: json.dumps(part) for path, part in in_files(metrics).items()}
    for path, part in parts.items():
        assert json.loads(part) == json.loads(path.read_text())
    paths.METRICS.write_text('{"accuracy": 0.4, "classes": {}, "model": "4567.dir"}')
    assert read_metrics() == {"accuracy": 0.4, "classes": {}, "model": "4567.dir"}


@pytest.mark.parametrize("content", [b"", b"<<<<<<< HEAD\n{}", b"\xff", b"[]", b"null", b"[" * 100_000])
def test_damage_is_an_error(content: bytes) -> None:
    """A damaged file is a one-line error with a command that fixes it."""
    paths.METRICS.write_bytes(content)
    with pytest.raises(RecordError, match=r"metrics.json: no JSON of what was measured; run `git checkout"):
        read_metrics()
    paths.METRICS.write_text("{}")
    paths.DETAILS.write_bytes(content)
    with pytest.raises(RecordError, match=r"details.json: no JSON of what was measured; run `git checkout"):
        read_metrics()
