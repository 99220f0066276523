"""Clones without the images: what is new is added, and nothing else is fetched. Real git, real dvc, a real remote."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import Project, stages_run

ALL = ["ingest", "manifest", "train", "evaluate"]
RESULTS = ("data/images", "data/manifest", "data/model", "data/base")


class Team(NamedTuple):
    """A full clone that has trained and pushed, and where it pushes to."""

    folder: Path
    alice: Project

    def clone(self, name: str) -> Project:
        """A fresh clone, with nothing pulled."""
        project = Project(self.folder / name)
        self.alice.run("git", "clone", "--quiet", "--branch", "main", str(self.folder / "origin"), str(project.root))
        project.dvc("remote", "add", "--local", "--force", "storage", str(self.folder / "remote"))
        return project

    def publish(self, project: Project, message: str) -> None:
        """Commit and push everything that is there."""
        project.commit(message)
        project.dvc("push", "--quiet")
        project.git("push", "--quiet", "origin", "HEAD:main")


def pipeline(project: Project, *arguments: str, ok: bool | None = True) -> str:
    """Run `pipeline` in `project`; returns what it printed."""
    return project.run("python", "-m", "pipeline", *arguments, ok=ok).out


def raw(project: Project) -> dict[str, str]:
    """The MD5 of each file that is in data/raw, by its path there."""
    return {path.removeprefix("data/raw/"): md5 for path, md5 in project.snapshot("data/raw").items()}


def cached(project: Project) -> set[str]:
    """The objects in DVC's cache."""
    objects = (project.root / ".dvc/cache/files/md5").glob("*/*")
    return {path.parent.name + path.name for path in objects}


def listed(project: Project) -> dict[str, str]:
    """What data/raw.dvc lists: an MD5 for each path."""
    oid = project.read("data/raw.dvc").split("md5: ")[1].split()[0]
    path = project.root / ".dvc/cache/files/md5" / oid[:2] / oid[2:]
    return {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_text())}


def fetched(project: Project, team: Team) -> set[str]:
    """The files of Alice's data/raw whose bytes came into a clone's cache."""
    return {path for path, md5 in raw(team.alice).items() if md5 in cached(project)}


def results(project: Project) -> dict[str, str]:
    """What came of it, and its inputs, by hash."""
    return {path: md5 for stage in project.lock().values() for path, md5 in (stage["deps"] | stage["outs"]).items()}


def zip_digits(project: Project, start: int, stop: int, path: Path) -> None:
    """Put digits into a zip at `path`, in folders of their classes."""
    shutil.rmtree(project.root / "aside", ignore_errors=True)
    with zipfile.ZipFile(path, "w") as archive:
        for file in project.add_digits(start, stop, into="../../aside"):
            archive.write(file, f"{file.parent.name}/{file.name}")
    shutil.rmtree(project.root / "aside")


@pytest.fixture(scope="module")
def start(make_project: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Team:
    """Loose images, an archive, a file of labels and one of no use, trained on and pushed. Copied, never changed."""
    folder = tmp_path_factory.mktemp("start")
    alice = make_project(folder / "alice")
    loose = alice.add_digits(0, 60)
    zip_digits(alice, 60, 100, alice.root / "data/raw/first.zip")
    name = loose[0].relative_to(alice.root / "data/raw")
    (alice.root / "data/raw/labels.csv").write_text(f"path,label\n{name},odd one\n")
    (alice.root / "data/raw/notes.txt").write_text("what people wrote")
    alice.dvc("remote", "add", "--default", "storage", str(folder / "remote"))
    alice.dvc("add", "--quiet", "data/raw")
    assert stages_run(alice.repro()) == ALL
    alice.run("git", "init", "--quiet", "--bare", str(folder / "origin"))
    alice.git("remote", "add", "origin", str(folder / "origin"))
    team = Team(folder, alice)
    team.publish(alice, "generation 1")
    return team


@pytest.fixture
def team(start: Team, tmp_path: Path) -> Team:
    """A copy of `start` to do things to."""
    folder = tmp_path / "team"
    shutil.copytree(start.folder, folder, symlinks=True)
    alice = Project(folder / "alice")
    alice.dvc("remote", "add", "--local", "--force", "storage", str(folder / "remote"))
    alice.git("remote", "set-url", "origin", str(folder / "origin"))
    return Team(folder, alice)


@pytest.mark.slow
def test_an_archive_is_dropped_into_a_fresh_clone(team: Team) -> None:
    """Plain `dvc repro` decodes what is new, starts warm, and comes to what a full clone comes to, byte for byte."""
    bob, before = team.clone("bob"), team.alice.lock()["train"]["outs"]["data/model"]
    (bob.root / "data/raw").mkdir(parents=True)
    zip_digits(bob, 100, 130, bob.root / "data/raw/new.zip")
    shutil.copy(bob.root / "data/raw/new.zip", team.alice.root / "data/raw")
    out = bob.repro()
    assert stages_run(out) == ALL
    assert "listing: 64 files in data/raw; 62 of them not here" in out
    assert "ingest: 130 images, 30 new, 0 removed, 1 refused (data/images/refused.csv); 30 decoded" in out
    assert f"train: warm start from {before[:8]}…, generation 2" in out
    assert fetched(bob, team) == {"labels.csv", "new.zip"}
    assert raw(bob).keys() == {"labels.csv", "new.zip"}
    assert stages_run(team.alice.repro()) == ALL
    assert results(bob) == results(team.alice)
    assert listed(bob) == listed(team.alice) == raw(team.alice)
    assert bob.snapshot(*RESULTS) == team.alice.snapshot(*RESULTS)
    assert bob.read("data/raw.dvc") == team.alice.read("data/raw.dvc")
    # It is in Git's index, as DVC would have put it there; and what comes next finds nothing to do.
    assert "M  data/raw.dvc" in bob.git("status", "--porcelain")
    assert stages_run(bob.repro()) == []
