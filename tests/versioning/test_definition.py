"""The record that a stage would have now, by dvc.yaml and the files."""

import hashlib
import json
from pathlib import Path

import pytest

from pipeline.errors import RecordError
from pipeline.versioning.definition import code_among, deps_of, flat, read_definition
from pipeline.versioning.lock import StageRecord

PIPELINE = """\
stages:
  train:
    cmd: python -m pipeline run train
    deps: [data/base, pipeline/train.py, pipeline/models, pipeline/gone.py]
    params:
    - train.lr
    - params.yaml: [ingest, train.none]
    outs:
    - data/model
    - data/report/lineage.json: {cache: false}
    plots:
    - data/curves: {x: step}
  shell:
    cmd: [echo, echo]
"""
PARAMS = "ingest: {mode: grey, size: 8}\ntrain: {lr: 1e-3}\n"


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project with two files of code."""
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "dvc.yaml": PIPELINE,
        "params.yaml": PARAMS,
        "pipeline/train.py": "1\n",
        "pipeline/models/network.py": "2\n",
    }.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)


def test_stage_as_it_would_be_recorded() -> None:
    """Code is hashed as by DVC; data and missing files are left out; params have their values."""
    listing = json.dumps([{"md5": hashlib.md5(b"2\n").hexdigest(), "relpath": "network.py"}])
    train = read_definition()["train"]
    assert train == StageRecord(
        deps={
            "data/base": "",
            "pipeline/train.py": hashlib.md5(b"1\n").hexdigest(),
            "pipeline/models": f"{hashlib.md5(listing.encode()).hexdigest()}.dir",
            "pipeline/gone.py": "",
        },
        outs={"data/model": "", "data/report/lineage.json": "", "data/curves": ""},
        params={"train.lr": 1e-3, "ingest": {"mode": "grey", "size": 8}, "train.none": None},
        command="python -m pipeline run train",
    )
    assert set(code_among(train.deps)) == {"pipeline/train.py", "pipeline/models", "pipeline/gone.py"}
    assert read_definition()["shell"].deps == {}


def test_flat() -> None:
    """Sections become dotted names."""
    assert flat({"a": {"b": {"c": 1}, "d": 2}, "e.f": None}) == {"a.b.c": 1, "a.d": 2, "e.f": None}


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\n", "stages: [1]\n", "stages:\n  a: 1\n", "", "a: 1\n"])
def test_unreadable_pipeline_is_an_error(text: str) -> None:
    """An invalid dvc.yaml is an error, not one without stages."""
    Path("dvc.yaml").write_text(text)
    with pytest.raises(RecordError, match=r"git checkout dvc\.yaml"):
        read_definition()


def test_another_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of a project it is an error."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(RecordError, match="no such file; run this in the project's folder"):
        read_definition()


def test_params_in_paths() -> None:
    """A path in dvc.yaml may contain a param's value, written as DVC writes it."""
    deps = "[data/base, 'data/weights/${train.pretrained}']"
    Path("dvc.yaml").write_text(f"stages: {{train: {{cmd: echo, deps: {deps}}}}}")
    for value, written in (("true", "true"), ("false", "false"), ("deep/net.pt", "deep/net.pt")):
        Path("params.yaml").write_text(f"train: {{pretrained: {value}}}\n")
        assert deps_of("train") == ["data/base", f"data/weights/{written}"]
        assert list(read_definition()["train"].deps) == deps_of("train")
