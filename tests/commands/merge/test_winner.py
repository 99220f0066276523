"""Which branch's model a merge keeps: the same in every file, and never one that was rolled back."""

import json
import subprocess
from pathlib import Path

import pytest
from commands.merge.test_merging import lock
from conftest import ROOT
from lineage.test_history import git, recorded

from pipeline import paths
from pipeline.commands.merge.hooks import set_up
from pipeline.commands.merge.winner import KnownModels, better, unnamed
from pipeline.errors import MergeError
from pipeline.lineage.acceptance import Judgement, write_judgements
from pipeline.lineage.lineage import RECORDED, Recorded
from pipeline.versioning.lock import parse_record

A, B, C, D, E = (f"{digit * 32}.dir" for digit in "abcde")


def told(*facts: tuple[str, str | None, float | None, bool | None], refused: str | None = None) -> KnownModels:
    """Return the known facts about models: hash, base, validation accuracy and acceptance of each."""
    records = {
        model: recorded(model, base).model_copy(update={"validation": validation, "accepted": accepted})
        for model, base, validation, accepted in facts
    }
    return KnownModels(records, {refused: Judgement(accepted=False, why="")} if refused else {})


@pytest.mark.parametrize(
    ("ancestor", "ours", "theirs", "known", "expected"),
    [
        (A, B, C, told((B, A, 0.9, None), (C, A, 0.8, None)), "ours"),
        (A, B, C, told((B, A, 0.8, None), (C, A, 0.9, None)), "theirs"),
        (A, B, C, told((B, A, 0.9, None), (C, A, 0.9, None)), "ours"),
        (A, A, B, told(), "theirs"),
        (A, B, A, told(), "ours"),
        (A, B, B, told(), "ours"),
        (A, None, B, told(), "theirs"),
        (None, B, None, told(), "ours"),
        (None, None, None, told(), "ours"),
        (A, B, C, told((B, A, 0.9, False), (C, A, 0.1, True)), "theirs"),
        (A, B, C, told((B, A, 0.9, True), (C, A, 0.1, True), refused=B), "theirs"),
        (A, B, C, told((B, A, 0.9, None), (C, A, None, None)), "ours"),
        (A, B, C, told((B, A, None, None), (C, A, 0.0, None)), "ours"),
        (A, B, C, told((B, A, None, None), (C, A, 0.1, None)), "theirs"),
        # As in a revert: an ancestor of the other model never wins.
        (B, C, A, told((A, None, 0.9, None), (B, A, 0.5, None), (C, B, 0.1, None)), "ours"),
        (B, A, C, told((A, None, 0.9, None), (B, A, 0.5, None), (C, B, 0.1, None)), "theirs"),
    ],
)
def test_better(ancestor: str | None, ours: str | None, theirs: str | None, known: KnownModels, expected: str) -> None:
    """The only side that trained, or continued from the other, wins; else the accepted, the better, or our one."""
    assert better(ancestor, ours, theirs, known) == expected


def test_unknown() -> None:
    """Nothing is assumed about a model that no commit records."""
    with pytest.raises(MergeError, match=f"no commit says how good the model {C} is; commit .* or `git fetch`"):
        better(A, B, C, told((B, A, 0.9, None)))


def test_unnamed() -> None:
    """Models that are ancestors of the kept model, or of another named one, are not named; the others once."""
    known = told((A, None, 0.5, None), (B, A, 0.5, None), (C, A, 0.5, None), (D, C, 0.5, None))
    known = KnownModels({**known.records, E: recorded(E, B).model_copy(update={"merged": (D,)})}, {})
    assert unnamed([B, A, C, D, B], B, known) == (D,)
    assert unnamed([C, D, B], E, known) == ()
    assert unnamed([D, C, "unknown"], B, known) == (D, "unknown")


@pytest.fixture
def _repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a repository that uses our merge driver; its first model is of generation 1."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    git("init", "--quiet", "--initial-branch=main")
    Path(".gitattributes").write_text((ROOT / ".gitattributes").read_text())
    set_up()
    train(A, None, 0.5)


def train(model: str, base: str | None, validation: float, *, accepted: bool = True, note: str = "") -> None:
    """Commit a training as DVC and evaluate record it."""
    paths.REPORT.mkdir(parents=True, exist_ok=True)
    facts = {"validation": validation, "accepted": accepted, "verdict": note}
    RECORDED.write_text(recorded(model, base).model_copy(update=facts).model_dump_json(indent=2) + "\n")
    paths.METRICS.write_text(json.dumps({"model": model, "accuracy": validation, "note": note}, indent=2) + "\n")
    paths.LOCK.write_bytes(lock(model, note))
    Path(f"images-{model[:1]}").touch()
    git("add", "--all")
    git("commit", "--quiet", "--message", f"Train {model[:1]}")


def check(model: str, *others: str) -> None:
    """Assert that all files are of `model`, and that `others` are left to be named."""
    assert git("status", "--porcelain", "--untracked-files=no") == ""
    here = Recorded.model_validate_json(RECORDED.read_bytes())
    assert (here.model, here.others) == (model, others)
    assert json.loads(paths.METRICS.read_bytes())["model"] == model
    assert parse_record(paths.LOCK.read_bytes(), str(paths.LOCK))["train"].outs["data/model"] == model


@pytest.mark.usefixtures("_repository")
def test_revert_goes_back_to_nothing_older() -> None:
    """A revert keeps the newest model as the next base, however good an older one was."""
    train(B, A, 0.9)
    train(C, B, 0.1)
    git("revert", "--no-edit", "HEAD^")
    check(C)


@pytest.mark.usefixtures("_repository")
@pytest.mark.parametrize("kept", [B, C])
def test_one_side_only_measured_again(kept: str) -> None:
    """A model that was only evaluated again, with another gate for example, is not new: the side that trained wins."""
    git("checkout", "--quiet", "-b", "other")
    train(kept, A, 0.1, accepted=kept == B)
    git("checkout", "--quiet", "main")
    train(A, None, 0.5, note="again")
    git("merge", "--quiet", "--no-edit", "other")
    check(kept)


@pytest.mark.usefixtures("_repository")
def test_newest_word_on_a_model_counts() -> None:
    """In dvc.lock as in lineage.json, the newest verdict counts: a model refused and then accepted is accepted."""
    git("checkout", "--quiet", "-b", "other")
    train(B, A, 0.9, accepted=False)
    train(B, A, 0.9, accepted=True)
    git("checkout", "--quiet", "main")
    train(C, A, 0.8)
    git("merge", "--quiet", "--no-edit", "other")
    check(B, C)


@pytest.mark.usefixtures("_repository")
def test_word_of_people_counts() -> None:
    """A model that a user refused, even on its own branch, loses."""
    git("checkout", "--quiet", "-b", "other")
    train(B, A, 0.9)
    write_judgements({B: Judgement(accepted=False, why="so")})
    git("add", "--all")
    git("commit", "--quiet", "--message", "Refuse it")
    git("checkout", "--quiet", "main")
    train(C, A, 0.8)
    git("merge", "--quiet", "--no-edit", "other")
    check(C, B)


@pytest.mark.usefixtures("_repository")
def test_rebase_of_two_generations() -> None:
    """A model that is the other's ancestor is not named."""
    git("checkout", "--quiet", "-b", "other")
    train(B, A, 0.6)
    train(C, B, 0.7)
    git("checkout", "--quiet", "main")
    train(D, A, 0.8)
    git("checkout", "--quiet", "other")
    git("rebase", "--quiet", "main")
    check(D, C)


@pytest.mark.usefixtures("_repository")
def test_branches_that_merged_each_other() -> None:
    """Several common ancestors work: Git merges those first."""
    git("checkout", "--quiet", "-b", "other")
    train(B, A, 0.6)
    git("checkout", "--quiet", "main")
    train(C, A, 0.7)
    git("tag", "c")
    git("merge", "--quiet", "--no-edit", "other")
    check(C, B)
    train(D, C, 0.8)
    git("checkout", "--quiet", "other")
    git("merge", "--quiet", "--no-edit", "c")
    train(E, C, 0.9)
    git("merge", "--quiet", "--no-edit", "main")
    check(E, D)


@pytest.mark.usefixtures("_repository")
def test_whatever_goes_wrong_is_a_conflict() -> None:
    """If the driver fails, neither side is taken as a whole."""
    paths.RAW_DVC.write_text("outs:\n- md5: a\n  path: raw\n")
    git("add", "--all")
    git("commit", "--quiet", "--message", "before")
    git("checkout", "--quiet", "-b", "other")
    paths.RAW_DVC.write_bytes(b"outs:\n- md5: \xff\n  path: raw\n")
    git("commit", "--quiet", "--all", "--message", "theirs")
    git("checkout", "--quiet", "main")
    paths.RAW_DVC.write_text("outs:\n- md5: c\n  path: raw\n")
    git("commit", "--quiet", "--all", "--message", "ours")
    run = subprocess.run(["git", "merge", "other"], check=False, capture_output=True)
    assert run.returncode == 1
    assert b"Traceback" not in run.stdout + run.stderr
    assert b"<<<<<<<" in paths.RAW_DVC.read_bytes()
