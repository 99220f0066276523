"""merged.csv passes the models of merged branches from Git's record to the next training only."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lineage.test_lineage import WARM

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.lineage import merged
from pipeline.lineage.lineage import RECORDED, Recorded

MODEL, OTHER = "0" * 32 + ".dir", "1" * 32 + ".dir"


def record(*, named: str | None = None) -> None:
    """Return a dvc.lock of a training that depended on a merged.csv with this content."""
    deps = "" if named is None else f"    - path: {merged.PATH}\n      md5: {hashlib.md5(named.encode()).hexdigest()}\n"
    paths.LOCK.write_text(
        f"stages:\n  train:\n    deps:\n    - path: x\n      md5: y\n{deps}"
        f"    outs:\n    - path: data/model\n      md5: {MODEL}\n"
    )


def report(*, model: str = MODEL, merged: tuple[str, ...] = (), others: tuple[str, ...] = ()) -> None:
    """Return the model's lineage as it is in Git."""
    RECORDED.parent.mkdir(parents=True, exist_ok=True)
    lineage = Recorded(model=model, others=others, **WARM.model_dump(exclude={"merged"}), merged=merged)
    RECORDED.write_text(lineage.model_dump_json())


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_here")
def test_first_training_names_none() -> None:
    """The first training names no models."""
    report(others=(OTHER,))
    assert merged.merged_models(again=False) == ()


@pytest.mark.usefixtures("_here")
def test_next_training_names_what_was_merged() -> None:
    """A model that a merge noted is named once; models named before are not."""
    record()
    report(others=(OTHER,), merged=("2.dir",))
    assert merged.merged_models(again=False) == (OTHER,)


@pytest.mark.usefixtures("_here")
def test_notes_on_another_model_do_not_count() -> None:
    """Notes in the lineage of another model than the recorded one do not count."""
    record()
    report(model=OTHER, others=("2.dir",))
    assert merged.merged_models(again=False) == ()


@pytest.mark.usefixtures("_here")
def test_same_training_names_the_same() -> None:
    """A repeated training names the same models, from any available copy, and assumes nothing."""
    record(named=f"model\n{OTHER}\n")
    with pytest.raises(RecordError, match="dvc checkout"):
        merged.merged_models(again=True)
    report(merged=(OTHER,), others=("2.dir",))
    assert merged.merged_models(again=True) == (OTHER,)
    RECORDED.unlink()
    merged.PATH.parent.mkdir(parents=True)
    merged.PATH.write_text(f"model\n{OTHER}\n")
    assert merged.merged_models(again=True) == (OTHER,)
    record(named="model\n")
    assert merged.merged_models(again=True) == ()


@pytest.mark.usefixtures("_here")
def test_records_from_before_there_was_such_a_file() -> None:
    """A training without the dependency merged.csv named none."""
    record()
    report(others=(OTHER,))
    assert merged.merged_models(again=True) == ()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(models=st.lists(st.from_regex(r"[0-9a-f]{32}\.dir", fullmatch=True)))
def test_round_trip(models: list[str], tmp_path: Path) -> None:
    """The list is read back as written."""
    path = tmp_path / "merged.csv"
    path.write_text(merged.to_text(tuple(models)))
    assert merged.read_merged(path) == tuple(models)


def test_no_file_names_none(tmp_path: Path) -> None:
    """Without the file no model is named."""
    assert merged.read_merged(tmp_path / "merged.csv") == ()
