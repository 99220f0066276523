"""What `pipeline status` says of the base."""

from pathlib import Path

import pytest
from conftest import ROOT
from lineage.test_acceptance import FIRST, NO, SECOND, lock, train
from lineage.test_history import git

from pipeline.commands.status.start import Start, start_of
from pipeline.errors import CheckpointError
from pipeline.lineage.acceptance import write_judgements
from pipeline.params import read_params
from pipeline.versioning.lock import read_record

PARAMS = read_params(ROOT / "params.yaml")


@pytest.fixture(autouse=True)
def _repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository of Git and DVC without a commit."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch=main")


def start(*, images_change: bool = True) -> Start:
    """What is said where `manifest` runs."""
    return start_of(read_record(), PARAMS, manifest_runs=True, images_change=images_change)


def test_shallow_clone() -> None:
    """Where no commit here tells of the base of a refused model, it says so, and what to do."""
    train(SECOND, FIRST, 2)
    write_judgements({SECOND: NO, FIRST: NO})
    found = start()
    assert not found.is_known
    assert found.reason.startswith("the base of aaaaaaaa… or one before it; `git fetch --unshallow`")


@pytest.mark.parametrize(("name", "before"), [("train.model", "large"), ("train.size", 7), ("ingest.mode", "cmyk")])
def test_another_network(name: str, before: object) -> None:
    """What `train` would refuse is an error before anything runs, unless it starts from scratch anyway."""
    train(FIRST, None, 1)
    lock(FIRST, params={name: before})
    with pytest.raises(CheckpointError, match=f"data/base: {name} was {before!r} when it was trained and is .*fresh"):
        start()
    assert start(images_change=False) == Start(oid=None, reason="dvc.lock records no training yet", is_kept=True)
