"""Whether a recorded model equals what another release would train."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline.params import read_params
from pipeline.versioning import weights
from pipeline.versioning.lock import StageRecord
from pipeline.versioning.weights import NEUTRAL_PARAMS, code_hash, is_outdated, why_retrain, with_neutral_params

OLD = StageRecord(
    deps={"data/base": "1", "pipeline/a.py": "2", "pipeline/b.py": "3"},
    outs={"data/model": "4"},
    params={"train.lr": 0.1, "train.augment": {"flip": True}},
    command="python -m pipeline.train",
)
NEW = StageRecord(
    deps={"data/base": "", "pipeline/c.py": "5"},
    outs={"data/model": ""},
    params={"train.lr": 0.1, "train.augment": {"flip": True}},
    command="python -m pipeline run train",
)


@pytest.fixture(autouse=True)
def _releases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate two releases of one version, and one of another."""
    other = {"pipeline/c.py": "6"}
    monkeypatch.setattr(weights, "VERSIONS", {code_hash(OLD.deps): 1, code_hash(NEW.deps): 1, code_hash(other): 2})


def test_hash_of_code_is_that_of_md5sum(tmp_path: Path) -> None:
    """The hash of the code can be computed with md5sum; order and data do not matter."""
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/a.py").write_text("1\n")
    (tmp_path / "pipeline/b.py").write_text("2\n")
    command = "md5sum pipeline/a.py pipeline/b.py | tee lines | md5sum"
    out = subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True, text=True).stdout  # noqa: S602
    lines = (tmp_path / "lines").read_text().splitlines()
    deps = {path: md5 for md5, path in map(str.split, reversed(lines))}
    assert code_hash({**deps, "data/base": "3"}) == out.split()[0]


def test_same_weights_need_no_training() -> None:
    """For code of the same version the record is valid, whatever the current values of params."""
    assert is_outdated(OLD, NEW)
    assert why_retrain(OLD, NEW) is None
    assert why_retrain(OLD, replace(NEW, params={"train.lr": 0.2, "train.augment": {"flip": False}})) is None


def test_what_changes_nothing_until_it_says_something() -> None:
    """If a newer release reads a new file, the model is valid for that file's neutral content."""
    more = replace(NEW, deps={**NEW.deps, "data/manifest/classes.csv": ""})
    assert why_retrain(OLD, more) is None
    assert "data/other.csv" in str(why_retrain(OLD, replace(NEW, deps={**NEW.deps, "data/other.csv": ""})))
    assert "data/manifest/classes.csv" in str(why_retrain(more, replace(OLD, command=NEW.command)))


def test_params_that_change_nothing_until_they_are_set() -> None:
    """If a newer release has a new param, the model is valid for its neutral value, which is recorded."""
    more = replace(NEW, params={**NEW.params, "train.framing": "squash", "train.crop_pct": 1.0})
    assert why_retrain(OLD, more) is None
    known = with_neutral_params(OLD, more)
    assert known == replace(OLD, params={**OLD.params, "train.framing": "fill", "train.crop_pct": 1.0})
    assert with_neutral_params(more, more) == more
    assert with_neutral_params(OLD, NEW) == OLD


def test_values_are_those_of_a_new_project() -> None:
    """Neutral values are those of a new project, so that merging params.yaml trains as before."""
    train = read_params(ROOT / "params.yaml").train
    assert {name: getattr(train, name.removeprefix("train.")) for name in NEUTRAL_PARAMS} == NEUTRAL_PARAMS


def test_what_is_recorded_so_is_not_outdated() -> None:
    """Changed data and params are not changed code."""
    assert not is_outdated(OLD, replace(OLD, deps={**OLD.deps, "data/base": ""}, params={}))
    assert is_outdated(OLD, replace(OLD, command="python -m pipeline run train"))
    assert is_outdated(OLD, replace(OLD, deps={**OLD.deps, "pipeline/b.py": "4"}))


@pytest.mark.parametrize(
    ("recorded", "now", "why"),
    [
        (replace(OLD, deps={**OLD.deps, "pipeline/a.py": "0"}), NEW, "trained with code that is no release"),
        (OLD, replace(NEW, deps={**NEW.deps, "pipeline/c.py": ""}), "the present code is no release"),
        (OLD, replace(NEW, deps={**NEW.deps, "pipeline/c.py": "6"}), "other weights (version 2, and not 1"),
        (OLD, replace(NEW, params={**NEW.params, "train.new": 0}), "train.new"),
        (OLD, replace(NEW, params={**NEW.params, "train.augment": {"flip": True, "turn": 0}}), "train.augment.turn"),
        (OLD, replace(NEW, params={"train.augment": {"flip": True}}), "train.lr"),
        (OLD, replace(NEW, deps={**NEW.deps, "data/more": ""}), "data/more"),
        (OLD, replace(NEW, outs={**NEW.outs, "data/other": ""}), "data/other"),
    ],
)
def test_reasons_to_retrain(recorded: StageRecord, now: StageRecord, why: str) -> None:
    """Other code, and new files, params or outputs, are reasons to retrain."""
    assert why in (why_retrain(recorded, now) or "")
