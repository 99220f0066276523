"""`pipeline upgrade` reports what a release reruns in a project, and updates records that need no rerun."""

import json

import pytest
from conftest import Project
from support import release

from pipeline import cli, paths
from pipeline.versioning import weights
from pipeline.versioning.definition import read_definition
from pipeline.versioning.lock import read_record

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def recorded(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Make a project without data; its dvc.lock is that of a release with other code and the same weights."""
    release.write_lock_of_other_code(project.root)
    monkeypatch.chdir(project.root)
    digest = weights.code_hash(read_record()["train"].deps)
    monkeypatch.setitem(weights.VERSIONS, digest, max(weights.VERSIONS.values()))
    return project


def upgrade(capsys: Capture, *arguments: str) -> dict[str, str]:
    """Return the command's output by the first word of each line."""
    assert cli.main(["upgrade", *arguments]) == 0
    return dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())


@pytest.mark.usefixtures("recorded")
def test_same_weights(capsys: Capture) -> None:
    """Each stage's changes and their effects are reported; then train's record is that of this release."""
    assert cli.main(["upgrade", "--dry-run", "--json"]) == 0
    stages = json.loads(capsys.readouterr().out)["stages"]
    told = upgrade(capsys)
    assert {name: stage["outcome"] for name, stage in stages.items()}.items() <= told.items()
    assert stages["train"]["command"] is True
    assert list(told) == ["ingest", "manifest", "train", "evaluate", "next:"]
    assert told["train"].endswith("command: does not run: this release trains the same weights, so the model stays")
    assert not weights.is_outdated(read_record()["train"], read_definition()["train"])
    assert upgrade(capsys)["train"] == "nothing has changed: runs only if its inputs change"


def test_new_params(recorded: Project, capsys: Capture) -> None:
    """New params with neutral values cause no training; one that is set otherwise does, and is shown."""
    release.forget_params(recorded.root, weights.NEUTRAL_PARAMS)
    told = upgrade(capsys, "--dry-run")["train"]
    assert told.endswith("command: does not run: this release trains the same weights, so the model stays")
    recorded.set_params(train={"framing": "squash"})
    told = upgrade(capsys)["train"]
    assert told.endswith("command, train.framing changed from fill to squash: runs again, for its params alone")
    assert upgrade(capsys)["train"].startswith("train.framing changed from fill to squash: runs again")


def test_own_code_is_listed_again(recorded: Project, capsys: Capture) -> None:
    """If a merge took the release's dvc.yaml, the project's own code is added to it again."""
    (recorded.root / "mine.py").write_text("def build(): ...\n")
    recorded.set_params(train={"model": "mine:build"})
    assert upgrade(capsys)["dvc.yaml"] == "now lists mine.py, which train.model uses"
    assert "mine.py" in read_definition()["train"].deps


@pytest.mark.usefixtures("recorded")
def test_dry_run(capsys: Capture) -> None:
    """With --dry-run the output is the same, and nothing is written."""
    before = paths.LOCK.read_bytes()
    told = upgrade(capsys, "--dry-run")
    assert paths.LOCK.read_bytes() == before
    assert told.items() < upgrade(capsys).items()


def test_other_weights(project: Project, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the release trains other weights, the record stays, so that training runs from the same base."""
    release.write_lock(project.root)
    monkeypatch.chdir(project.root)
    before, told = paths.LOCK.read_bytes(), upgrade(capsys)
    assert told["ingest"].endswith("runs again, and decodes no image again")
    versions = f"version {max(weights.VERSIONS.values())}, and not 1;"
    other = f"runs again, from the base of the recorded model: this release trains other weights ({versions}"
    assert other in told["train"]
    assert paths.LOCK.read_bytes() == before


def test_code_of_ones_own(recorded: Project, capsys: Capture) -> None:
    """Own changes to code that decides weights cause a training, and are named as the reason."""
    with (recorded.root / "pipeline/models/network.py").open("a") as file:
        file.write("# mine\n")
    assert "the present code is no release" in upgrade(capsys)["train"]
    assert weights.is_outdated(read_record()["train"], read_definition()["train"])


def test_changed_params(recorded: Project, capsys: Capture) -> None:
    """Changed params are shown with both values, and stay a reason to run."""
    recorded.set_params(train={"lr": 0.125})
    told = upgrade(capsys)["train"]
    assert "train.lr changed from 0.01 to 0.125: runs again, for its params alone" in told
    again = upgrade(capsys)["train"]
    assert again == "train.lr changed from 0.01 to 0.125: runs again, for its params alone"


def test_nothing_trained_yet(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A project without a record needs no update."""
    monkeypatch.chdir(project.root)
    assert cli.main(["upgrade"]) == 0
    assert capsys.readouterr().out == "nothing was trained yet\n"


@pytest.mark.usefixtures("recorded")
def test_unfinished_merge(capsys: Capture) -> None:
    """A dvc.lock with conflict markers of a merge is an error."""
    paths.LOCK.write_text("<<<<<<< HEAD\n" + paths.LOCK.read_text())
    assert cli.main(["upgrade"]) == 1
    assert "git checkout dvc.lock" in capsys.readouterr().err
