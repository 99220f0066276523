"""A project with its own code, as in docs/own-code.md: it trains, is edited, and trains again."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, Project, stages_run
from ruamel.yaml import YAML

pytestmark = pytest.mark.slow
PIPELINE = ("python", "-m", "pipeline")
PAGE = (ROOT / "docs" / "own-code.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def trained(make_project: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with two generations trained by its own code. Tests copy it."""
    project = make_project(tmp_path_factory.mktemp("own") / "project")
    shutil.copytree(ROOT / "docs/example/my_project", project.root / "my_project")
    project.add_digits(0, 120)
    project.dvc("add", "--quiet", "data/raw")
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    project.set_params(**YAML(typ="safe").load(block))
    assert "run `pipeline setup`, or `dvc repro` will correct that and stop" in project.run(*PIPELINE, "status").out
    said = "listing: error: dvc.yaml: now lists my_project/changes.py, which train.augment uses, and 5 more files"
    assert f"{said}; run `dvc repro` again" in project.repro(ok=False)
    assert "train: cold start" in project.repro()
    project.commit("120 images")
    project.add_digits(120, 160)
    out = project.repro()
    assert "train: warm start" in out
    assert "evaluated with the current code" not in out
    project.commit("160 images")
    return project


@pytest.fixture
def project(trained: Project, tmp_path: Path) -> Project:
    """Return a copy of that project."""
    shutil.copytree(trained.root, tmp_path / "copy", symlinks=True)
    return Project(tmp_path / "copy")


def edit(project: Project, name: str, before: str, after: str) -> None:
    """Edit a file of the project's own code."""
    path = project.root / "my_project" / name
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def reason(project: Project) -> str:
    """Return the reason in the model's lineage."""
    found: str = json.loads(project.read("data/model/lineage.json"))["reason"]
    return found


def test_promises_hold(project: Project) -> None:
    """The example keeps all promises; replay reproduces each generation bit for bit; nothing is left to run."""
    out = project.run(*PIPELINE, "try", "--contract").out
    assert out.count("\nholds ") == 6
    assert "my_project.nets:build at 8 pixels" in out
    assert stages_run(project.repro()) == []
    assert "2 of 2 generations reproduced, bit for bit" in project.run(*PIPELINE, "replay", "--all").out
    assert project.git("status", "--porcelain") == ""
    assert not list((project.root / "my_project").glob("__pycache__"))


def test_an_edit_trains_warm(project: Project) -> None:
    """An edit trains from the last model's base, with a reason; edits of other files are not named."""
    base = project.lock()["train"]["deps"]["data/base"]
    image = next((project.root / "data/raw").rglob("*.png"))
    edit(project, "layers.py", ".relu()", ".tanh()")
    assert "my_project/layers.py changed" in project.run(*PIPELINE, "status").out
    said = "the code of my_project.nets:build no longer computes the function that was trained; run `dvc repro`"
    assert said in project.run(*PIPELINE, "predict", str(image), ok=False).out
    out = project.repro()
    assert stages_run(out) == ["train", "evaluate"]
    assert f"train: warm start from {base[:8]}" in out
    assert "the base was evaluated with the current code, not with the code that it was trained with" in out
    assert reason(project).endswith("; the network's code was edited")
    project.run(*PIPELINE, "predict", str(image))
    edit(project, "losses.py", "** 2", "** 3")
    assert stages_run(project.repro("train")) == ["train"]
    edit(project, "__init__.py", "A project's", "The project's")
    assert "train" in stages_run(project.repro())


def test_another_shape_is_an_error(project: Project) -> None:
    """Another shape is an error that names the weight, and nothing is lost; `pipeline fresh` resolves it."""
    before = project.snapshot("data/model", "data/report")
    edit(project, "nets.py", "Gated(32, 64)", "Gated(32, 48)")
    edit(project, "nets.py", "nn.Linear(64", "nn.Linear(48")
    out = project.repro(ok=False)
    assert "0.convolution.weight" not in out
    assert (
        "1.convolution.weight has the shape (64, 32, 3, 3) in it, and has the shape (48, 32, 3, 3) in the code" in out
    )
    assert "undo that edit, or run `pipeline fresh` to train from scratch" in out
    assert project.snapshot("data/model", "data/report") == before
    project.run(*PIPELINE, "fresh")
    assert "train: cold start" in project.repro()


def test_back_to_the_network_that_is_built_in(project: Project) -> None:
    """Back on the built-in network, dvc.yaml is as in the release, and the code can be deleted."""
    names = ("model", "augment", "loss", "optimizer")
    usual = YAML(typ="safe").load(ROOT / "params.yaml")["train"]
    project.set_params(train={name: usual[name] for name in names})
    shutil.rmtree(project.root / "my_project")
    out = project.run(*PIPELINE, "setup").out
    assert "dvc.yaml now does not list my_project/" in out
    assert project.read("dvc.yaml") == (ROOT / "dvc.yaml").read_text()
    assert "train.model was 'my_project.nets:build' when it was trained and is 'small' now" in project.repro(ok=False)
    project.run(*PIPELINE, "fresh")
    assert "train: cold start" in project.repro()


def test_a_helper_that_is_new(project: Project) -> None:
    """A new import is detected: the run lists it and stops, and the next run trains."""
    (project.root / "my_project/parts.py").write_text("RATE = 0.2\n")
    edit(project, "nets.py", "from torch import nn", "from torch import nn\n\nfrom my_project.parts import RATE")
    edit(project, "nets.py", "Dropout(0.1)", "Dropout(RATE)")
    said = "listing: error: dvc.yaml: now lists my_project/parts.py, which train.model uses; run `dvc repro` again"
    assert said in project.repro(ok=False)
    assert stages_run(project.repro())[0] == "train"
    assert "network's code was edited" not in reason(project)
    edit(project, "parts.py", "0.2", "0.3")
    assert stages_run(project.repro())[0] == "train"


@pytest.mark.nightly
def test_an_edit_makes_other_features(project: Project) -> None:
    """After an edit of the backbone or the views, no old features are used."""
    edit(project, "layers.py", "return seen * share", "return (seen * share).clamp(max=1000.0)")
    project.set_params(train={"freeze": "backbone", "augment": {"shift": 0.2, "flip": False}})
    project.repro(ok=False)
    assert "the head alone trains" in project.repro()
    edit(project, "layers.py", "1000.0", "0.1")
    shifting = project.root / "pipeline/training/augmentation/shifting.py"
    shifting.write_text(shifting.read_text().replace("2 * most + 1) - most", "2 * most + 1) + 1 - most"))
    assert stages_run(project.repro())[0] == "train"
    made = project.snapshot("data/model", "data/report")
    shutil.rmtree(project.root / "data/.features")
    assert stages_run(project.repro("-f", "-s", "train", "evaluate")) == ["train", "evaluate"]
    assert project.snapshot("data/model", "data/report") == made


def test_a_head_whose_outputs_are_not_the_logits(project: Project) -> None:
    """If the outputs are not the head's logits, training runs the backbone, and keeps no features."""
    edit(project, "nets.py", "nn.Linear(64, classes),", "nn.Linear(64, classes),\n        Halved(),")
    edit(project, "nets.py", "import Gated", "import Gated, Halved")
    halved = (
        "\n\nclass Halved(nn.Module):\n    def forward(self, logits: Tensor) -> Tensor:\n        return logits / 2\n"
    )
    layers = project.root / "my_project/layers.py"
    layers.write_text(layers.read_text() + halved)
    project.set_params(train={"freeze": "backbone", "augment": "none"})
    project.repro(ok=False)
    assert stages_run(project.repro()) == ["train", "evaluate"]
    assert not (project.root / "data/.features").exists()
    source = next((project.root / "data/raw").rglob("*.png"))
    project.run(*PIPELINE, "predict", str(source))
