"""Predict the base of the next training from Git's reports, without any model."""

from pathlib import Path

import pytest
from conftest import ROOT
from lineage.test_acceptance import FIRST, NO, SECOND, THIRD, lock, train
from lineage.test_history import git

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.lineage.acceptance import write_judgements
from pipeline.lineage.base import FIRST as FIRST_TRAINING
from pipeline.lineage.base import Base
from pipeline.lineage.foretelling import Heir, foretell, heir
from pipeline.lineage.lineage import LINEAGE
from pipeline.params import read_params
from pipeline.versioning.lock import read_record

PARAMS = read_params(ROOT / "params.yaml")


@pytest.fixture(autouse=True)
def _repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a repository without a commit."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch=main")


def test_heir() -> None:
    """The base is the last model, or the newest that is not refused, with the reason, even if no model is local."""

    def found() -> Heir:
        return heir(read_record()["train"])

    train(FIRST, None, 1)
    assert found() == Heir(FIRST, "")
    train(SECOND, FIRST, 2, accepted=False)
    assert found() == Heir(FIRST, "generation 2 is not accepted: it is so")
    write_judgements({SECOND: NO})
    assert found() == Heir(FIRST, "generation 2 is refused by hand: «étude»")
    train(THIRD, SECOND, 3, accepted=False)
    assert found().model == FIRST
    write_judgements({SECOND: NO, FIRST: NO})
    assert found().model is None


def test_shallow_clone() -> None:
    """A refused model that no local commit records is an error."""
    train(SECOND, FIRST, 2)
    write_judgements({SECOND: NO, FIRST: NO})
    with pytest.raises(KeyError, match=FIRST):
        heir(read_record()["train"])


def test_same_images() -> None:
    """The same images keep the last training's base, whatever the gate's verdict."""
    train(SECOND, FIRST, 2, accepted=False)
    assert foretell(PARAMS, read_record()["train"], same_images=True) == Base(oid=FIRST, reason="")


def test_nobody_has_judged() -> None:
    """Other images need a verdict on the last model, as in `manifest`."""
    lock(SECOND, FIRST)
    with pytest.raises(RecordError, match=r"does not say whether bbb.*run `dvc repro --single-item evaluate`"):
        foretell(PARAMS, read_record()["train"], same_images=False)


def test_no_record() -> None:
    """A model without a record in dvc.lock is an error."""
    assert foretell(PARAMS, None, same_images=True) == Base(oid=None, reason=FIRST_TRAINING)
    paths.MODEL.mkdir(parents=True)
    (paths.MODEL / LINEAGE).write_text("{}")
    with pytest.raises(RecordError, match=r"no record of the model in data/model; run `git checkout dvc\.lock`"):
        foretell(PARAMS, None, same_images=True)


def test_model_of_another_branch() -> None:
    """The chain of bases is found on any branch."""
    train(FIRST, None, 1)
    train(SECOND, FIRST, 2, accepted=False)
    git("checkout", "--quiet", "--orphan", "other")
    train(THIRD, SECOND, 3, accepted=False)
    write_judgements({SECOND: NO})
    assert heir(read_record()["train"]).model == FIRST
