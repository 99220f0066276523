"""Descriptions of what has changed for a stage."""

from dataclasses import replace

from pipeline.commands.upgrade.stage_changes import StageChange
from pipeline.versioning.lock import StageRecord

RECORD = StageRecord(
    deps={"data/base": "1", "pipeline/a.py": "2", "pipeline/b.py": "3"},
    outs={"data/model": "4"},
    params={"train.lr": 0.1, "ingest": {"mode": "rgb", "size": 8}},
    command="python -m pipeline.train",
)


def test_no_change() -> None:
    """Changed data is not a change of code, command or params."""
    change = StageChange.between(RECORD, replace(RECORD, deps={**RECORD.deps, "data/base": "", "data/more": ""}))
    assert not change
    assert str(change) == "nothing has changed"


def test_code_that_is_gone_reruns_nothing() -> None:
    """A removed code file does not rerun a stage, as in DVC."""
    change = StageChange.between(RECORD, replace(RECORD, deps={"pipeline/a.py": "2"}))
    assert not change
    assert str(change) == "code (1 gone)"


def test_everything_changed() -> None:
    """Files are counted, the command is named, and params are shown with their values."""
    now = StageRecord(
        deps={"pipeline/a.py": "0", "pipeline/c.py": "3"},
        outs={},
        params={"train.new": True, "ingest": {"mode": "grey", "size": 8}},
        command="python -m pipeline run train",
    )
    change = StageChange.between(RECORD, now)
    assert change
    assert (change.new, change.changed, change.gone) == (["pipeline/c.py"], ["pipeline/a.py"], ["pipeline/b.py"])
    assert str(change) == (
        "code (1 new, 1 changed, 1 gone), command, ingest.mode changed from rgb to grey, train.lr is gone, "
        "train.new is new to it (true)"
    )
