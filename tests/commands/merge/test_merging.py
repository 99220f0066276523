"""Files that Git holds of the pipeline are merged whole, to the better side, and never to something in between."""

import json
import subprocess
from pathlib import Path

import pytest
from lineage.test_lineage import WARM

from pipeline import paths
from pipeline.commands.merge.merging import Versions, merge_file
from pipeline.errors import MergeError
from pipeline.lineage.lineage import RECORDED, Recorded

OLD, GOOD, BAD = (f"{digit * 32}.dir" for digit in "012")
ACCURACY = {OLD: 0.5, GOOD: 0.9, BAD: 0.8}


def lock(model: str | None, note: str = "") -> bytes:
    """A dvc.lock that records `model`."""
    train = f"  train:\n    outs:\n    - path: data/model\n      md5: {model}\n" if model else ""
    return f"schema: '2.0'\nstages:\n  ingest:\n    cmd: ingest{note}\n{train}".encode()


def lineage(model: str, *others: str, accepted: bool | None = None) -> bytes:
    """What evaluate writes of `model`, with what a merge noted."""
    facts = WARM.model_dump(exclude={"validation"})
    recorded = Recorded(**facts, validation=ACCURACY[model], model=model, others=others, accepted=accepted)
    return (recorded.model_dump_json(indent=2) + "\n").encode()


def metrics(model: str, digits: int = 8) -> bytes:
    """What evaluate writes of how good `model` is; an earlier release, or into details.json, with all `digits`."""
    return json.dumps({"model": model[:digits], "accuracy": 0.7}).encode()


@pytest.fixture
def _history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository whose commits record the three models."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    paths.REPORT.mkdir(parents=True)
    for model in (OLD, GOOD, BAD):
        RECORDED.write_bytes(lineage(model))
        subprocess.run(["git", "add", "--all"], check=True)
        subprocess.run(["git", "commit", "--quiet", "--message", model], check=True)


@pytest.mark.usefixtures("_history")
@pytest.mark.parametrize("swap", [False, True])
def test_all_files_take_the_same_side(*, swap: bool) -> None:
    """dvc.lock, lineage and metrics each decide for themselves, and come to the same."""
    sides = (BAD, GOOD) if swap else (GOOD, BAD)
    lineages = Versions(lineage(OLD), *map(lineage, sides))
    assert merge_file("dvc.lock", Versions(lock(OLD), *map(lock, sides))) == lock(GOOD)
    assert merge_file(RECORDED.as_posix(), lineages) == lineage(GOOD, BAD)
    assert merge_file(paths.METRICS.as_posix(), Versions(metrics(OLD), *map(metrics, sides))) == metrics(GOOD)
    of_both = Versions(metrics(OLD, 36), metrics(sides[0], 36), metrics(sides[1]))
    assert json.loads(merge_file(paths.METRICS.as_posix(), of_both))["model"] == GOOD[: 8 if swap else 36]
    details = Versions(b"", *(metrics(side, 36) for side in sides))
    assert merge_file(paths.DETAILS.as_posix(), details) == metrics(GOOD, 36)


@pytest.mark.usefixtures("_history")
def test_notes_of_both_sides_are_kept() -> None:
    """A second merge before the next training, and a rebase of several commits, forget no model."""
    merged = merge_file(RECORDED.as_posix(), Versions(lineage(OLD), lineage(GOOD, "3.dir"), lineage(BAD, "4.dir")))
    assert Recorded.model_validate_json(merged).others == ("3.dir", BAD, "4.dir")
    # In a rebase what came of the commit before is ours, and its original the ancestor.
    rebased = merge_file(RECORDED.as_posix(), Versions(lineage(BAD), lineage(BAD, GOOD), lineage(OLD)))
    assert rebased == lineage(OLD, GOOD)


@pytest.mark.usefixtures("_history")
def test_locks_of_one_model_are_not_mixed() -> None:
    """Where nobody trained, ours is taken whole, though lines of both could stand together."""
    assert merge_file("dvc.lock", Versions(lock(OLD), lock(OLD, " -v"), lock(OLD))) == lock(OLD, " -v")


@pytest.mark.usefixtures("_history")
def test_model_that_no_commit_tells_of_is_not_guessed_about() -> None:
    """It is a conflict, which says what to commit or fetch."""
    with pytest.raises(MergeError, match=r"no commit says how good the model 9+\.dir is; commit .* or `git fetch`"):
        merge_file("dvc.lock", Versions(lock(OLD), lock(GOOD), lock("9" * 32 + ".dir")))


@pytest.mark.usefixtures("_history")
@pytest.mark.parametrize("path", ["dvc.lock", *map(Path.as_posix, (RECORDED, paths.METRICS, paths.DETAILS))])
@pytest.mark.parametrize("content", [b"<<<<<<< HEAD\n", b"[]", b"1", b"\xff\xfe", b"{: }"])
def test_what_cannot_be_read_is_a_conflict(path: str, content: bytes) -> None:
    """Nothing is taken for the whole in place of a side that is damaged."""
    with pytest.raises(MergeError, match="cannot be read"):
        merge_file(path, Versions(b"", content, content + b" "))
