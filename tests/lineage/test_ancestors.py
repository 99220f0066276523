"""Metrics of earlier models from Git's history, in repositories without data."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline import paths
from pipeline.lineage.ancestors import known_ancestors, recorded_metrics
from pipeline.lineage.lineage import RECORDED, Budget, Epochs, ImageCounts, Lineage, Recorded, write_lineage


def git(*arguments: str) -> str:
    """Run Git, and return its output."""
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def figures(accuracy: float) -> dict[str, Any]:
    """Return a metrics.json with the values that are read."""
    return {"accuracy": accuracy, "classes": {"a": {}}, "slices": {"generation": {"1": {"accuracy": accuracy}}}}


def lineage(base: str | None, generation: int) -> Lineage:
    """Return the lineage of a model."""
    counts, budget = ImageCounts(total=1, new=1, removed=0, relabelled=0), Budget(run=1, total=1)
    start: dict[str, Any] = {"start": "warm" if base else "cold", "reason": ""}
    return Lineage(
        generation=generation, base=base, images=counts, epochs=Epochs(run=1, total=1), steps=budget, **start
    )


def record(model: str, base: str | None, generation: int, metrics: dict[str, Any] | None) -> None:
    """Commit a training; generation 1 is of an earlier release, which wrote everything into metrics.json."""
    paths.REPORT.mkdir(parents=True, exist_ok=True)
    RECORDED.write_text(Recorded(model=model, **lineage(base, generation).model_dump()).model_dump_json())
    for path in (paths.METRICS, paths.DETAILS):
        path.unlink(missing_ok=True)
    if metrics is not None:
        details = {key: metrics[key] for key in ("classes", "slices") if key in metrics and generation > 1}
        paths.METRICS.write_text(json.dumps({key: metrics[key] for key in metrics.keys() - details.keys()}))
        if details:
            paths.DETAILS.write_text(json.dumps(details))
    git("add", "--all")
    git("commit", "--quiet", "--message", f"Train {model}")


def known(base: str | None, nearby: Path | None = None) -> dict[int, Any]:
    """Return what is known of `base` and its ancestors, by generation."""
    return dict(recorded_metrics(known_ancestors(base, nearby)))


def models(base: str | None, nearby: Path | None = None) -> list[str]:
    """Return the known ancestors, oldest first."""
    return [one.recorded.model for one in known_ancestors(base, nearby)]


@pytest.fixture(autouse=True)
def _repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a repository with three generations."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch=main")
    for number in (1, 2, 3):
        record(f"{number}.dir", f"{number - 1}.dir" if number > 1 else None, number, figures(number / 10))


def test_chain_of_bases() -> None:
    """The chain has the metrics of each model from the base on; a model is not its own ancestor."""
    assert known("2.dir") == {2: figures(0.2), 1: figures(0.1)}
    assert known("1.dir") == {1: figures(0.1)}
    assert known(None) == {}
    assert known("unknown.dir") == {}


def test_committing_the_present_run_changes_nothing() -> None:
    """Committing the current run, or other metrics of an ancestor later, changes nothing: the first record counts."""
    before = known("3.dir")
    record("4.dir", "3.dir", 4, figures(0.4))
    record("3.dir", "2.dir", 3, figures(0.9))
    record("4.dir", "3.dir", 4, figures(0.8))
    assert known("3.dir") == before


def test_other_branches_are_no_ancestors() -> None:
    """Models of other branches are not read, even with the same generation number."""
    git("checkout", "--quiet", "-b", "other", "HEAD~1")
    record("3b.dir", "2.dir", 3, figures(0.7))
    git("merge", "--quiet", "--strategy=ours", "main")
    assert known("3.dir")[3] == figures(0.3)
    assert known("3b.dir")[3] == figures(0.7)
    assert known("3b.dir")[2] == figures(0.2)


def test_what_was_never_committed_is_unknown() -> None:
    """The chain ends at a model that was never committed, since its base is unknown."""
    record("6.dir", "5.dir", 6, figures(0.6))
    assert known("6.dir") == {6: figures(0.6)}
    assert known("5.dir") == {}


def test_base_that_was_never_committed() -> None:
    """An uncommitted base records its own base, so that the chain continues; a committed one is read from Git."""
    paths.BASE.mkdir(parents=True)
    write_lineage(lineage("3.dir", 4), paths.BASE)
    assert models("4.dir", paths.BASE) == ["1.dir", "2.dir", "3.dir", "4.dir"]
    assert known_ancestors("4.dir", paths.BASE)[-1].accuracy is None
    assert known("4.dir", paths.BASE) == known("3.dir")
    assert models("2.dir", paths.BASE) == ["1.dir", "2.dir"]
    assert models("4.dir") == models(None, paths.BASE) == []


@pytest.mark.parametrize("metrics", [None, {"accuracy": 0.5, "macro_f1": 0.5}], ids=["none", "an older form"])
def test_commits_without_these_figures(metrics: dict[str, Any] | None) -> None:
    """A model without metrics by slice is left out; its ancestors are known."""
    record("4.dir", "3.dir", 4, metrics)
    assert known("4.dir") == known("3.dir")


def test_shallow_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shallow clone knows the models in its history."""
    git("clone", "--quiet", "--depth=2", tmp_path.as_uri(), "clone")
    monkeypatch.chdir("clone")
    assert known("3.dir") == {3: figures(0.3), 2: figures(0.2)}


def test_without_history(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a repository or a commit nothing is known, and there is no warning."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert known("3.dir") == {}
    git("init", "--quiet")
    assert known("3.dir") == {}
    assert not caplog.records


def test_damaged_history(caplog: pytest.LogCaptureFixture) -> None:
    """An unreadable record is skipped with one warning."""
    RECORDED.write_text("<<<<<<< ours")
    git("commit", "--quiet", "--all", "--message", "A merge gone wrong")
    assert models("3.dir") == ["1.dir", "2.dir", "3.dir"]
    (said,) = caplog.messages
    assert f"{RECORDED} of " in said


def test_what_people_decided_changes_nothing() -> None:
    """Verdicts do not matter, not even contradictory ones after a merge, which cannot be read."""
    before = known_ancestors("3.dir")
    paths.ACCEPTED.write_text('{"2.dir": {"accepted": true, "why": "x"}, "2.dir": {"accepted": false, "why": "x"}}')
    assert known_ancestors("3.dir") == before
    assert len(before) == 3
