"""What `pipeline status` reports about the base."""

import sys
from pathlib import Path

import pytest
from conftest import ROOT
from dvc.repo import Repo
from lineage.test_acceptance import FIRST, NO, SECOND, lock, train
from lineage.test_history import git

from pipeline.commands.status.remarks import _on_seeing
from pipeline.commands.status.start import Start, start_of
from pipeline.errors import CheckpointError
from pipeline.lineage.acceptance import write_judgements
from pipeline.params import Params, read_params
from pipeline.versioning.lock import read_record

PARAMS = read_params(ROOT / "params.yaml")


@pytest.fixture(autouse=True)
def _repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a Git and DVC repository without a commit."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch=main")
    Repo.init(".")


def start(*, images_change: bool = True) -> Start:
    """Return the predicted start if `manifest` runs."""
    return start_of(read_record(), PARAMS, manifest_runs=True, images_change=images_change)


def test_shallow_clone() -> None:
    """If no commit names the base of a refused model in a shallow clone, the message says so, and what to do."""
    train(SECOND, FIRST, 2)
    write_judgements({SECOND: NO, FIRST: NO})
    found = start()
    assert not found.is_known
    assert found.reason.startswith("the base of aaaaaaaa… or one before it; `git fetch --unshallow`")


@pytest.mark.parametrize(("name", "before"), [("train.model", "large"), ("ingest.mode", "cmyk")])
def test_another_network(name: str, before: object) -> None:
    """A network that `train` would refuse is an error before anything runs, except from scratch."""
    train(FIRST, None, 1)
    lock(FIRST, params={name: before})
    with pytest.raises(CheckpointError, match=f"data/base: {name} was {before!r} when it was trained and is .*fresh"):
        start()
    assert start(images_change=False) == Start(oid=None, reason="dvc.lock records no training yet", is_kept=True)


def test_another_size() -> None:
    """The built-in network accepts images of any size; a change of size is a note, not an error."""
    train(FIRST, None, 1)
    lock(FIRST, params={"train.size": 7})
    assert start().oid == FIRST
    recorded = read_record()["train"]
    assert _on_seeing(recorded, start(), PARAMS) == ["training continues at 28 pixels; the model was trained at 7"]
    assert not _on_seeing(recorded, start(images_change=False), PARAMS)  # From scratch.


def test_other_framing() -> None:
    """A model continues with another framing, with a note; earlier releases used only `fill`."""
    train(FIRST, None, 1)
    lock(FIRST)
    recorded = read_record()["train"]
    assert "train.framing" not in recorded.params
    assert _on_seeing(recorded, start(), PARAMS) == []
    otherwise = with_train(framing="squash", crop_pct=0.875)
    assert _on_seeing(recorded, start(), otherwise) == [
        "training continues with train.crop_pct 0.875; the model was trained with 1.0",
        "training continues with train.framing squash; the model was trained with fill",
    ]


def test_images_that_are_enlarged() -> None:
    """A note says when images are enlarged beyond their stored size; timm is not asked for its crop."""
    for size, crop_pct in ((28, 1.0), (224, 0.875), (256, 1.0), (256, "model")):
        assert _on_seeing(None, start(), with_train(size=size, crop_pct=crop_pct)) == []
    (said,) = _on_seeing(None, start(), with_train(size=230, crop_pct=0.875))
    assert said.startswith("images of 256 pixels (ingest.size) are enlarged to 263 (train.size / train.crop_pct): ")
    assert said.endswith(": ingest.size 263 keeps the detail of larger files, and decodes all images again")
    for crop_pct in (1.0, "model"):
        (said,) = _on_seeing(None, start(), with_train(size=257, crop_pct=crop_pct))
        assert said.startswith("images of 256 pixels (ingest.size) are enlarged to 257 (train.size): ingest.size 257 ")


def with_train(**changes: object) -> Params:
    """Return the params with `changes` to the section `train`."""
    return PARAMS.model_copy(update={"train": PARAMS.train.model_copy(update=changes)})


@pytest.mark.slow
@pytest.mark.parametrize(("model", "fits"), [("timm/test_vit3", True), ("timm/mixer_s32_224", False)])
def test_another_size_of_timm(model: str, fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """Whether a timm network accepts another image size is detected."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / ".venv" / "timm")])
    train(FIRST, None, 1)
    lock(FIRST, params={"train.size": 64})
    params = PARAMS.model_copy(update={"train": PARAMS.train.model_copy(update={"model": model, "size": 96})})
    if fits:
        assert start_of(read_record(), params, manifest_runs=True, images_change=True).oid == FIRST
    else:
        with pytest.raises(CheckpointError, match=r"train.size is 96, and .* one size alone .*fresh"):
            start_of(read_record(), params, manifest_runs=True, images_change=True)
