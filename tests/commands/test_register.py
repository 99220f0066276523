"""`pipeline register` creates versions of accepted models that a commit records."""

import shutil
from pathlib import Path

import pytest
from conftest import ROOT, Project
from ruamel.yaml import YAML

from pipeline import cli, paths
from pipeline.lineage.acceptance import Judgement, write_judgements
from pipeline.lineage.lineage import RECORDED, Budget, Epochs, ImageCounts, Recorded

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Make a repository without a model the working directory."""
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path)
    project.git("init", "--quiet")
    for path in (paths.PIPELINE, paths.PARAMS):
        shutil.copy(ROOT / path, path)
    project.commit()
    return project


def record(project: Project, model: str, *, accepted: bool, locked: str = "") -> None:
    """Commit the record of a model; dvc.lock names the model `locked`."""
    recorded = Recorded(
        generation=1,
        start="cold",
        reason="",
        base=None,
        images=ImageCounts(total=1, new=1, removed=0, relabelled=0),
        epochs=Epochs(run=1, total=1),
        steps=Budget(run=1, total=1),
        model=model,
        accepted=accepted,
        verdict="accuracy fell by 3 points" * (not accepted),
    )
    RECORDED.parent.mkdir(parents=True, exist_ok=True)
    RECORDED.write_text(recorded.model_dump_json())
    outs = [{"path": "data/model", "hash": "md5", "md5": locked or model}]
    YAML().dump({"schema": "2.0", "stages": {"train": {"cmd": "true", "outs": outs}}}, paths.LOCK)
    project.commit(f"model {model}")


def run(*arguments: str) -> int:
    """Run the command."""
    return cli.main(["register", *arguments])


A, B = "a" * 32 + ".dir", "b" * 32 + ".dir"


def test_versions_and_stages(here: Project, capsys: Capture) -> None:
    """Tags are GTO's, at the named commit, and the next version follows the last one."""
    record(here, A, accepted=True)
    assert run("v1.2.0", "--stage", "prod") == 0
    record(here, B, accepted=True)
    assert run() == 0
    assert run("v1.1.0", "--rev", "HEAD~1") == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "registered model@v1.2.0 and model#prod#1: aaaaaaaa…, generation 1",
        "next: dvc push && git push origin 'model@v1.2.0' 'model#prod#1'",
        "registered model@v1.2.1: bbbbbbbb…, generation 1",
        "next: dvc push && git push origin 'model@v1.2.1'",
    ]
    assert err.startswith("pipeline: error: model: ")
    assert "`gto show model` lists what is registered" in err
    assert here.git("tag").split() == ["model#prod#1", "model@v1.2.0", "model@v1.2.1"]
    assert here.git("rev-parse", "model@v1.2.0^{commit}") == here.git("rev-parse", "HEAD~1")


def test_a_version_gets_a_stage_later(here: Project, capsys: Capture) -> None:
    """A stage may be assigned later, also after a kill in between; the model does not get another version."""
    record(here, A, accepted=True)
    assert run("v1.0.0") == 0
    capsys.readouterr()
    assert run("v2.0.0", "--stage", "prod") == 1
    assert run("v1.0.0", "--stage", "prod") == 0
    assert run("--stage", "dev") == 0
    assert run("v1.0.0") == 1
    assert capsys.readouterr().out.splitlines()[::2] == [
        "registered model#prod#1: aaaaaaaa…, generation 1",
        "registered model#dev#2: aaaaaaaa…, generation 1",
    ]


def test_what_is_not_accepted_gets_no_version(here: Project, capsys: Capture) -> None:
    """A model that the gate or a user refused gets no version; a user may overrule that."""
    record(here, A, accepted=False)
    assert run() == 1
    said = "pipeline: error: HEAD: generation 1 is not accepted: accuracy fell by 3 points; register an earlier one"
    assert capsys.readouterr().err.startswith(said)
    write_judgements({A: Judgement(accepted=True, why="a new camera")})
    assert run("v1.0.0") == 0
    record(here, B, accepted=True)
    write_judgements({B: Judgement(accepted=False, why="its classes are mixed up")})
    assert run() == 1
    assert "generation 1 is refused by hand: its classes are mixed up;" in capsys.readouterr().err
    assert here.git("tag").split() == ["model@v1.0.0"]


def test_what_no_commit_records_gets_no_version(here: Project, capsys: Capture) -> None:
    """A model that no commit records, or on which dvc.lock and the report disagree, gets no version."""
    assert run() == 1
    assert "HEAD: records no model; run `dvc repro`, commit, and name that commit" in capsys.readouterr().err
    record(here, A, accepted=True, locked=B)
    assert run() == 1
    assert "dvc.lock and data/report record different models" in capsys.readouterr().err
    assert not here.git("tag")
