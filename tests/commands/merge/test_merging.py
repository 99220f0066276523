"""The pipeline's files in Git are merged as a whole, to the better model's side, and never mixed."""

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
    """Return a dvc.lock that records `model`."""
    train = f"  train:\n    outs:\n    - path: data/model\n      md5: {model}\n" if model else ""
    return f"schema: '2.0'\nstages:\n  ingest:\n    cmd: ingest{note}\n{train}".encode()


def lineage(model: str, *others: str, accepted: bool | None = None) -> bytes:
    """Return the lineage that evaluate writes for `model`, with the notes of a merge."""
    facts = WARM.model_dump(exclude={"validation"})
    recorded = Recorded(**facts, validation=ACCURACY[model], model=model, others=others, accepted=accepted)
    return (recorded.model_dump_json(indent=2) + "\n").encode()


def metrics(model: str, digits: int = 8) -> bytes:
    """Return the metrics of `model`, as evaluate writes them; details.json and an earlier release have all `digits`."""
    return json.dumps({"model": model[:digits], "accuracy": 0.7}).encode()


@pytest.fixture
def _history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a repository whose commits record the three models."""
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
    """dvc.lock, lineage and metrics each choose a side independently, and choose the same one."""
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
    """No model is forgotten by a second merge before the next training, or by a rebase of several commits."""
    merged = merge_file(RECORDED.as_posix(), Versions(lineage(OLD), lineage(GOOD, "3.dir"), lineage(BAD, "4.dir")))
    assert Recorded.model_validate_json(merged).others == ("3.dir", BAD, "4.dir")
    # In a rebase, "ours" is the result for the previous commit, and the ancestor is its original.
    rebased = merge_file(RECORDED.as_posix(), Versions(lineage(BAD), lineage(BAD, GOOD), lineage(OLD)))
    assert rebased == lineage(OLD, GOOD)


@pytest.mark.usefixtures("_history")
def test_locks_of_one_model_are_not_mixed() -> None:
    """If neither side trained, ours is taken as a whole, even if the lines could be merged."""
    assert merge_file("dvc.lock", Versions(lock(OLD), lock(OLD, " -v"), lock(OLD))) == lock(OLD, " -v")


@pytest.mark.usefixtures("_history")
def test_model_that_no_commit_tells_of_is_not_guessed_about() -> None:
    """A model that no commit records is a conflict that says what to commit or fetch."""
    with pytest.raises(MergeError, match=r"no commit says how good the model 9+\.dir is; commit .* or `git fetch`"):
        merge_file("dvc.lock", Versions(lock(OLD), lock(GOOD), lock("9" * 32 + ".dir")))


@pytest.mark.usefixtures("_history")
@pytest.mark.parametrize("path", ["dvc.lock", *map(Path.as_posix, (RECORDED, paths.METRICS, paths.DETAILS))])
@pytest.mark.parametrize("content", [b"<<<<<<< HEAD\n", b"[]", b"1", b"\xff\xfe", b"{: }"])
def test_what_cannot_be_read_is_a_conflict(path: str, content: bytes) -> None:
    """If one side is damaged, the other side is not taken as a whole."""
    with pytest.raises(MergeError, match="cannot be read"):
        merge_file(path, Versions(b"", content, content + b" "))
