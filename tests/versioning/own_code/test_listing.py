"""dvc.yaml lists the files of a project's own code; everything else in it stays."""

import shutil
from pathlib import Path

import pytest
from conftest import ROOT
from ruamel.yaml import YAML

from pipeline.errors import ParamError, RecordError
from pipeline.params import Params, read_params
from pipeline.versioning.own_code.listing import MARK, bring_in_step, check_in_step, look_at_listing

TEXT = (ROOT / "dvc.yaml").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project with its own code."""
    monkeypatch.chdir(tmp_path)
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, name)
    Path("mine").mkdir()
    Path("mine/nets.py").write_text("from mine import layers\n")
    Path("mine/layers.py").write_text("")
    Path("mine/losses.py").write_text("")


def params(**train: str) -> Params:
    """Return the params with changes to the section `train`."""
    yaml = YAML()
    content = yaml.load(Path("params.yaml"))
    content["train"].update(train)
    yaml.dump(content, Path("params.yaml"))
    return read_params()


def own_deps(stage: str) -> list[str]:
    """Return the deps of `stage` in mine/."""
    deps = YAML(typ="safe").load(Path("dvc.yaml"))["stages"][stage]["deps"]
    return [dep for dep in deps if dep.startswith("mine/")]


def test_files_are_listed_where_they_run() -> None:
    """Files of the network are listed in train and evaluate, those of the loss in train; other bytes do not change."""
    changed = params(model="mine.nets:build", loss="mine.losses:focal")
    said = str(bring_in_step(changed))
    assert said == "lists mine/layers.py, which train.model uses, and 2 more files"
    assert own_deps("train") == ["mine/layers.py", "mine/losses.py", "mine/nets.py"]
    assert own_deps("evaluate") == ["mine/layers.py", "mine/nets.py"]
    lines = Path("dvc.yaml").read_text().splitlines(keepends=True)
    assert "".join(line for line in lines if MARK not in line) == TEXT
    assert not look_at_listing(changed)
    before = Path("dvc.yaml").stat().st_mtime_ns
    bring_in_step(changed)
    assert Path("dvc.yaml").stat().st_mtime_ns == before


def test_what_nothing_uses_any_more_goes() -> None:
    """Files that are no longer used are removed: a removed import, another param, and none at all."""
    bring_in_step(params(model="mine.nets:build"))
    Path("mine/nets.py").write_text("")
    assert str(bring_in_step(read_params())) == "does not list mine/layers.py, which nothing uses"
    assert own_deps("train") == own_deps("evaluate") == ["mine/nets.py"]
    bring_in_step(params(model="small"))
    assert Path("dvc.yaml").read_text() == TEXT


def test_lines_of_people_stay() -> None:
    """A file that a user listed is not listed twice, and stays when no param uses it."""
    by_hand = TEXT.replace("    - data/base\n", "    - data/base\n    - mine/nets.py\n    - mine/table.csv\n", 1)
    Path("dvc.yaml").write_text(by_hand)
    bring_in_step(params(model="mine.nets:build"))
    assert sorted(own_deps("train")) == ["mine/layers.py", "mine/nets.py", "mine/table.csv"]
    bring_in_step(params(model="small"))
    assert Path("dvc.yaml").read_text() == by_hand


def test_a_run_stops_where_dvc_has_read_another_dvc_yaml() -> None:
    """If dvc.yaml is outdated, it is corrected, and the error says to run again, which works."""
    changed = params(model="mine.nets:build")
    with pytest.raises(RecordError) as raised:
        check_in_step(changed)
    what = "dvc.yaml: now lists mine/layers.py, which train.model uses, and 1 more file; run `dvc repro` again"
    assert str(raised.value) == what
    check_in_step(changed)


def test_nothing_is_written_where_a_file_is_missing() -> None:
    """If a file is missing, the error names it, and nothing is written."""
    with pytest.raises(ParamError, match=r"mine.net:build: no file mine/net.py"):
        bring_in_step(params(model="mine.net:build"))
    assert Path("dvc.yaml").read_text() == TEXT


def test_another_dvc_yaml() -> None:
    """A dvc.yaml of another form is a one-line error."""
    changed = params(model="mine.nets:build")
    for text in ("stages: {}\n", "<<<<<<< ours\n"):
        Path("dvc.yaml").write_text(text)
        with pytest.raises(RecordError, match=r"dvc\.yaml: not"):
            bring_in_step(changed)
    Path("dvc.yaml").unlink()
    with pytest.raises(RecordError, match=r"dvc\.yaml: no such file"):
        bring_in_step(changed)
