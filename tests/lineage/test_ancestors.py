"""What Git's history knows of earlier models' figures, in repositories that hold no data."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline import paths
from pipeline.lineage.ancestors import known_ancestors, recorded_metrics
from pipeline.lineage.lineage import RECORDED, Budget, Epochs, ImageCounts, Lineage, Recorded, write_lineage


def git(*arguments: str) -> str:
    """Run Git here; returns what it printed."""
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def figures(accuracy: float) -> dict[str, Any]:
    """A metrics.json, as far as it is read."""
    return {"accuracy": accuracy, "classes": {"a": {}}, "slices": {"generation": {"1": {"accuracy": accuracy}}}}


def lineage(base: str | None, generation: int) -> Lineage:
    """That of a model."""
    counts, budget = ImageCounts(total=1, new=1, removed=0, relabelled=0), Budget(run=1, total=1)
    start: dict[str, Any] = {"start": "warm" if base else "cold", "reason": ""}
    return Lineage(
        generation=generation, base=base, images=counts, epochs=Epochs(run=1, total=1), steps=budget, **start
    )


def record(model: str, base: str | None, generation: int, metrics: dict[str, Any] | None) -> None:
    """Commit a training; the first generation by an earlier release, which wrote all into metrics.json."""
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
    """What is known of `base` and those before it, by generation."""
    return dict(recorded_metrics(known_ancestors(base, nearby)))


def models(base: str | None, nearby: Path | None = None) -> list[str]:
    """Which ancestors are known, oldest first."""
    return [one.recorded.model for one in known_ancestors(base, nearby)]


@pytest.fixture(autouse=True)
def _repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository with three generations."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch=main")
    for number in (1, 2, 3):
        record(f"{number}.dir", f"{number - 1}.dir" if number > 1 else None, number, figures(number / 10))


def test_chain_of_bases() -> None:
    """From the base on, each model's figures by its generation; a model is none of its own ancestors."""
    assert known("2.dir") == {2: figures(0.2), 1: figures(0.1)}
    assert known("1.dir") == {1: figures(0.1)}
    assert known(None) == {}
    assert known("unknown.dir") == {}


def test_committing_the_present_run_changes_nothing() -> None:
    """Nor does committing other figures for an ancestor later on: the first record counts."""
    before = known("3.dir")
    record("4.dir", "3.dir", 4, figures(0.4))
    record("3.dir", "2.dir", 3, figures(0.9))
    record("4.dir", "3.dir", 4, figures(0.8))
    assert known("3.dir") == before


def test_other_branches_are_no_ancestors() -> None:
    """A sibling's figures are not read, even where its generation has the same number."""
    git("checkout", "--quiet", "-b", "other", "HEAD~1")
    record("3b.dir", "2.dir", 3, figures(0.7))
    git("merge", "--quiet", "--strategy=ours", "main")
    assert known("3.dir")[3] == figures(0.3)
    assert known("3b.dir")[3] == figures(0.7)
    assert known("3b.dir")[2] == figures(0.2)


def test_what_was_never_committed_is_unknown() -> None:
    """The chain ends there, since who its base was is unknown as well."""
    record("6.dir", "5.dir", 6, figures(0.6))
    assert known("6.dir") == {6: figures(0.6)}
    assert known("5.dir") == {}


def test_base_that_was_never_committed() -> None:
    """It tells itself of its base, so the chain goes on behind it; where it is committed, Git's word holds."""
    paths.BASE.mkdir(parents=True)
    write_lineage(lineage("3.dir", 4), paths.BASE)
    assert models("4.dir", paths.BASE) == ["1.dir", "2.dir", "3.dir", "4.dir"]
    assert known_ancestors("4.dir", paths.BASE)[-1].accuracy is None
    assert known("4.dir", paths.BASE) == known("3.dir")
    assert models("2.dir", paths.BASE) == ["1.dir", "2.dir"]
    assert models("4.dir") == models(None, paths.BASE) == []


@pytest.mark.parametrize("metrics", [None, {"accuracy": 0.5, "macro_f1": 0.5}], ids=["none", "an older form"])
def test_commits_without_these_figures(metrics: dict[str, Any] | None) -> None:
    """What has no figures by slice is left out; its ancestors are known all the same."""
    record("4.dir", "3.dir", 4, metrics)
    assert known("4.dir") == known("3.dir")


def test_shallow_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows what it has."""
    git("clone", "--quiet", "--depth=2", tmp_path.as_uri(), "clone")
    monkeypatch.chdir("clone")
    assert known("3.dir") == {3: figures(0.3), 2: figures(0.2)}


def test_without_history(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No repository, or no commit: nothing is known, and there is nothing to warn of."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert known("3.dir") == {}
    git("init", "--quiet")
    assert known("3.dir") == {}
    assert not caplog.records


def test_damaged_history(caplog: pytest.LogCaptureFixture) -> None:
    """A record that cannot be read is passed over, and is said once."""
    RECORDED.write_text("<<<<<<< ours")
    git("commit", "--quiet", "--all", "--message", "A merge gone wrong")
    assert models("3.dir") == ["1.dir", "2.dir", "3.dir"]
    (said,) = caplog.messages
    assert f"{RECORDED} of " in said


def test_what_people_decided_changes_nothing() -> None:
    """Not even where a merge made two judgements of one model, which cannot be read."""
    before = known_ancestors("3.dir")
    paths.ACCEPTED.write_text('{"2.dir": {"accepted": true, "why": "x"}, "2.dir": {"accepted": false, "why": "x"}}')
    assert known_ancestors("3.dir") == before
    assert len(before) == 3
