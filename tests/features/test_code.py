"""An edit of the features' code changes their name, even if noise images do not show it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT
from support.own import write_package

from pipeline import paths
from pipeline.errors import ParamError
from pipeline.features import code
from pipeline.features.backbone import Backbone
from pipeline.features.code import code_of_network, code_of_views
from pipeline.models.network import Spec, build

OWN = "mine.nets:build"
LIMITED = """
from torch import nn

from mine.parts import LIMIT


def build(*, channels, classes, size):
    cut = nn.Hardtanh(-LIMIT, LIMIT)
    return nn.Sequential(nn.Conv2d(channels, 4, 3), cut, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project with its own code."""
    monkeypatch.chdir(tmp_path)
    listed = (ROOT / paths.PIPELINE).read_text()
    paths.PIPELINE.write_text(listed.replace("    - pipeline/train.py", "    - my.json\n    - pipeline/train.py"))
    paths.PARAMS.write_bytes((ROOT / paths.PARAMS).read_bytes())
    Path("my.json").write_text("1")
    write_package(monkeypatch, nets=LIMITED, parts="LIMIT = 1000.0\n", losses="RATE = 1\n")


def name() -> str:
    """Return the name of the backbone that the current code builds."""
    spec = Spec(model=OWN, size=16, mode="rgb", classes=("a", "b"))
    torch.manual_seed(0)
    return Backbone(build(spec), spec).name


def test_a_limit_that_noise_does_not_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed limit is another backbone; the same code is the same one."""
    before = name()
    write_package(monkeypatch)
    assert name() == before
    write_package(monkeypatch, parts="LIMIT = 999.0\n")
    assert name() != before


@pytest.mark.parametrize(("file", "is_of_it"), [("mine/nets.py", True), ("my.json", True), ("mine/losses.py", False)])
def test_files_of_a_project(file: str, *, is_of_it: bool) -> None:
    """Files of the network, and others in dvc.yaml, count; those of the loss do not."""
    before, of_small = code_of_network(OWN), code_of_network("small")
    Path(file).write_text(f"{Path(file).read_text()}\n")
    assert (code_of_network(OWN) != before) == is_of_it
    assert code_of_network("small") == of_small


def test_a_file_that_is_not_there() -> None:
    """A missing file is a one-line error."""
    Path("mine/nets.py").unlink()
    with pytest.raises(ParamError, match=r"no file mine/nets.py in the project's folder"):
        code_of_network(OWN)


def test_code_of_the_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The release's code of networks and views counts, and so do library versions."""
    for path in (ROOT / "pipeline").rglob("*.py"):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    monkeypatch.setattr(code, "RELEASE", tmp_path / "pipeline")
    before = code_of_network("small"), code_of_views()
    for edited, changed in [
        ("training/trainer.py", (False, False)),
        ("training/augmentation/geometry.py", (False, True)),
        ("training/drawing/randomness.py", (False, True)),
        ("models/network.py", (True, False)),
    ]:
        path = tmp_path / "pipeline" / edited
        path.write_text(path.read_text() + "# Edited.\n")
        now = code_of_network("small"), code_of_views()
        assert (now[0] != before[0], now[1] != before[1]) == changed
        before = now
    versions: dict[str, Any] = {"torch": "1", "kornia": "1", "timm": "1"}
    monkeypatch.setattr(code, "version", versions.__getitem__)
    before = code_of_network("timm/resnet18"), code_of_views()
    versions["timm"] = "2"
    assert code_of_network("timm/resnet18") != before[0]
    versions["kornia"] = "2"
    assert code_of_views() != before[1]
