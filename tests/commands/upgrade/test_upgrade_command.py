"""`pipeline upgrade` says what a release reruns here, and settles what it need not."""

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
    """A project without data, whose dvc.lock is that of a release which trains the same weights by other code."""
    release.write_lock_of_other_code(project.root)
    monkeypatch.chdir(project.root)
    digest = weights.code_hash(read_record()["train"].deps)
    monkeypatch.setitem(weights.VERSIONS, digest, max(weights.VERSIONS.values()))
    return project


def upgrade(capsys: Capture, *arguments: str) -> dict[str, str]:
    """What the command says, by the first word of each line."""
    assert cli.main(["upgrade", *arguments]) == 0
    return dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())


@pytest.mark.usefixtures("recorded")
def test_same_weights(capsys: Capture) -> None:
    """Each stage's changes and what follows are said; then the record of train is that of this release."""
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
    """Params that are new at the values of before train nothing; one that is set already does, and is given."""
    release.forget_params(recorded.root, weights.NEUTRAL_PARAMS)
    told = upgrade(capsys, "--dry-run")["train"]
    assert told.endswith("command: does not run: this release trains the same weights, so the model stays")
    recorded.set_params(train={"framing": "squash"})
    told = upgrade(capsys)["train"]
    assert told.endswith("command, train.framing changed from fill to squash: runs again, for its params alone")
    assert upgrade(capsys)["train"].startswith("train.framing changed from fill to squash: runs again")


def test_own_code_is_listed_again(recorded: Project, capsys: Capture) -> None:
    """Where a merge took the release's dvc.yaml, the project's own code is put in again."""
    (recorded.root / "mine.py").write_text("def build(): ...\n")
    recorded.set_params(train={"model": "mine:build"})
    assert upgrade(capsys)["dvc.yaml"] == "now lists mine.py, which train.model uses"
    assert "mine.py" in read_definition()["train"].deps


@pytest.mark.usefixtures("recorded")
def test_dry_run(capsys: Capture) -> None:
    """The same is said, and nothing is written."""
    before = paths.LOCK.read_bytes()
    told = upgrade(capsys, "--dry-run")
    assert paths.LOCK.read_bytes() == before
    assert told.items() < upgrade(capsys).items()


def test_other_weights(project: Project, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the release trains other weights the record stays, and so training runs, from the same base."""
    release.write_lock(project.root)
    monkeypatch.chdir(project.root)
    before, told = paths.LOCK.read_bytes(), upgrade(capsys)
    assert told["ingest"].endswith("runs again, and decodes no image again")
    versions = f"version {max(weights.VERSIONS.values())}, and not 1;"
    other = f"runs again, from the base of the recorded model: this release trains other weights ({versions}"
    assert other in told["train"]
    assert paths.LOCK.read_bytes() == before


def test_code_of_ones_own(recorded: Project, capsys: Capture) -> None:
    """Who has changed the code that decides weights retrains, and is told that this is why."""
    with (recorded.root / "pipeline/models/network.py").open("a") as file:
        file.write("# mine\n")
    assert "the present code is no release" in upgrade(capsys)["train"]
    assert weights.is_outdated(read_record()["train"], read_definition()["train"])


def test_changed_params(recorded: Project, capsys: Capture) -> None:
    """Params that were changed meanwhile are given with both values, and are a reason that stays."""
    recorded.set_params(train={"lr": 0.125})
    told = upgrade(capsys)["train"]
    assert "train.lr changed from 0.01 to 0.125: runs again, for its params alone" in told
    again = upgrade(capsys)["train"]
    assert again == "train.lr changed from 0.01 to 0.125: runs again, for its params alone"


def test_nothing_trained_yet(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A project without a record needs nothing."""
    monkeypatch.chdir(project.root)
    assert cli.main(["upgrade"]) == 0
    assert capsys.readouterr().out == "nothing was trained yet\n"


@pytest.mark.usefixtures("recorded")
def test_unfinished_merge(capsys: Capture) -> None:
    """A dvc.lock that a merge left its marks in is an error."""
    paths.LOCK.write_text("<<<<<<< HEAD\n" + paths.LOCK.read_text())
    assert cli.main(["upgrade"]) == 1
    assert "git checkout dvc.lock" in capsys.readouterr().err
