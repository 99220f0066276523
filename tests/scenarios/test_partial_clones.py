"""Clones without the images add new ones, and fetch nothing else: real Git, real DVC, a real remote."""

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
    """A full clone that has trained and pushed, and its remotes."""

    folder: Path
    alice: Project

    def clone(self, name: str) -> Project:
        """Make a fresh clone without pulling data."""
        project = Project(self.folder / name)
        self.alice.run("git", "clone", "--quiet", "--branch", "main", str(self.folder / "origin"), str(project.root))
        project.dvc("remote", "add", "--local", "--force", "storage", str(self.folder / "remote"))
        return project

    def publish(self, project: Project, message: str) -> None:
        """Commit and push everything."""
        project.commit(message)
        project.dvc("push", "--quiet")
        project.git("push", "--quiet", "origin", "HEAD:main")


def pipeline(project: Project, *arguments: str, ok: bool | None = True) -> str:
    """Run `pipeline` in `project`, and return its output."""
    return project.run("python", "-m", "pipeline", *arguments, ok=ok).out


def raw(project: Project) -> dict[str, str]:
    """Return the MD5 of each local file in data/raw, by path."""
    return {path.removeprefix("data/raw/"): md5 for path, md5 in project.snapshot("data/raw").items()}


def cached(project: Project) -> set[str]:
    """Return the objects in DVC's cache."""
    objects = (project.root / ".dvc/cache/files/md5").glob("*/*")
    return {path.parent.name + path.name for path in objects}


def listed(project: Project) -> dict[str, str]:
    """Return the MD5s in data/raw.dvc, by path."""
    oid = project.read("data/raw.dvc").split("md5: ")[1].split()[0]
    path = project.root / ".dvc/cache/files/md5" / oid[:2] / oid[2:]
    return {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_text())}


def fetched(project: Project, team: Team) -> set[str]:
    """Return the files of Alice's data/raw whose bytes are in the clone's cache."""
    return {path for path, md5 in raw(team.alice).items() if md5 in cached(project)}


def results(project: Project) -> dict[str, str]:
    """Return the results and their inputs, by hash."""
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
    """Return a project with loose images, an archive, and two label files, trained and pushed. Tests copy it."""
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
    """Return a copy of `start` that tests may change."""
    folder = tmp_path / "team"
    shutil.copytree(start.folder, folder, symlinks=True)
    alice = Project(folder / "alice")
    alice.dvc("remote", "add", "--local", "--force", "storage", str(folder / "remote"))
    alice.git("remote", "set-url", "origin", str(folder / "origin"))
    return Team(folder, alice)


@pytest.mark.slow
def test_an_archive_is_dropped_into_a_fresh_clone(team: Team) -> None:
    """`dvc repro` decodes only new images, starts warm, and gives the bytes of a full clone."""
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
    # Git's index contains it, as after `dvc add`, so that the next run has nothing to do.
    assert "M  data/raw.dvc" in bob.git("status", "--porcelain")
    assert stages_run(bob.repro()) == []
    # The pushed data is complete.
    team.publish(bob, "generation 2")
    carol = team.clone("carol")
    carol.dvc("pull", "--quiet")
    assert raw(carol) == listed(bob)
    assert stages_run(carol.repro()) == []


@pytest.mark.slow
def test_others_push_images_and_nothing_runs(team: Team) -> None:
    """A runner without data/raw decodes the images added since the last run, each from its single object."""
    team.alice.dvc("config", "core.autostage", "true")
    zip_digits(team.alice, 100, 120, team.alice.root / "data/raw/new.zip")
    new = team.alice.add_digits(120, 123)
    odd = team.alice.root / "data/raw/more notes"
    odd.write_bytes(b"7z\xbc\xaf\x27\x1c")  # An archive of an unsupported format, by its bytes.
    team.alice.dvc("add", "--quiet", "data/raw")
    team.publish(team.alice, "more images")
    runner = team.clone("runner")
    out = runner.repro("ingest")
    assert "ingest: 123 images, 23 new, 0 removed, 2 refused (data/images/refused.csv); 23 decoded" in out
    names = {path.relative_to(team.alice.root / "data/raw").as_posix() for path in new}
    assert fetched(runner, team) == {"labels.csv", "new.zip", "more notes", *names}
    assert raw(runner).keys() == {"labels.csv"}
    team.alice.repro("ingest")
    assert results(runner) == results(team.alice)
    assert runner.git("status", "--porcelain", "data/raw.dvc") == ""
    for md5 in raw(team.alice).values():  # What was fetched is known, and not fetched again.
        (runner.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink(missing_ok=True)
    assert "0 new, 0 removed, 2 refused (data/images/refused.csv); 0 decoded" in runner.repro("--force", "ingest")
    assert fetched(runner, team) == {"labels.csv"}


@pytest.mark.slow
def test_what_is_absent_is_never_removed(team: Team) -> None:
    """Absent images never count as removed, also after another run, an interruption, or `dvc add`; deleted ones do."""
    bob, before = team.clone("bob"), raw(team.alice)
    (mine,) = bob.add_digits(100, 101)
    killed = (
        "import os; from pipeline import listing; from pipeline.params import read_params; "
        "from pipeline.versioning.raw import recording; "
        "recording.write_listing = lambda *_, **__: os._exit(9); listing.listing(read_params())"
    )
    assert bob.run("python", "-c", killed, ok=False).code == 9
    name = mine.relative_to(bob.root / "data/raw").as_posix()
    for _ in range(2):
        bob.repro("listing")
        assert listed(bob).keys() == {*before, name}
    assert "101 images, 1 new, 0 removed" in bob.repro("ingest")
    bob.commit("one more")
    bob.dvc("add", "--quiet", "data/raw")
    complaint = "leaves out 62 files that nobody removed, since they have never been here; run `git checkout HEAD"
    assert complaint in bob.repro(ok=False)
    assert complaint in pipeline(bob, "status")
    bob.git("checkout", "--quiet", "HEAD", "data/raw.dvc")
    mine.unlink()
    assert "listing: 63 files in data/raw, 1 removed; 62 of them not here" in (out := bob.repro("ingest"))
    assert "100 images, 0 new, 1 removed" in out
    assert listed(bob) == before


@pytest.mark.slow
def test_a_partial_clone_becomes_whole(team: Team) -> None:
    """`dvc pull` completes the clone, and changes nothing; from then on missing files are removed ones."""
    bob, before = team.clone("bob"), raw(team.alice)
    bob.add_digits(100, 101)
    bob.repro("ingest")
    lock, version = bob.read("dvc.lock"), bob.read("data/raw.dvc")
    bob.dvc("pull", "--quiet", "data/raw.dvc")
    assert raw(bob).items() > before.items()
    assert "listing: 64 files in data/raw\n" in bob.repro("ingest")
    assert (bob.read("dvc.lock"), bob.read("data/raw.dvc")) == (lock, version)
    bob.dvc("checkout", "--quiet", "data/raw.dvc")
    assert stages_run(bob.repro("ingest")) == []
    (bob.root / "data/raw/first.zip").unlink()
    assert "61 images, 0 new, 40 removed" in bob.repro("ingest")


@pytest.mark.slow
def test_removed_before_the_first_run(team: Team) -> None:
    """After a full pull DVC knows which files were here, even before the first run."""
    bob = team.clone("bob")
    bob.dvc("pull", "--quiet", "data/raw.dvc")
    (bob.root / "data/raw/first.zip").unlink()
    assert "60 images, 0 new, 40 removed" in bob.repro("ingest")
    assert listed(bob) == raw(bob)


@pytest.mark.slow
def test_commands_in_a_partial_clone(team: Team) -> None:
    """`check`, `add`, `remove`, `pack` and `status` work as in a full clone, and fetch single files at most."""
    bob = team.clone("bob")
    new = team.folder / "new.zip"
    zip_digits(bob, 90, 130, new)
    assert "30" in pipeline(bob, "check", str(new))
    for project in (bob, team.alice):
        said = pipeline(project, "add", str(new))
        assert said.startswith("added 30 images as data/raw/added-")
        assert "10 known already" in said
    assert fetched(bob, team) == {"labels.csv"}
    found = pipeline(bob, "status")
    assert "images  30 new" in found
    assert "base    " in found
    loose = next(path for path in raw(team.alice) if path.endswith(".png"))
    with zipfile.ZipFile(team.alice.root / "data/raw/first.zip") as archive:
        member = f"first.zip!/{archive.namelist()[0]}"
    for project in (bob, team.alice):
        assert "removed 1 image from 1 place" in pipeline(project, "remove", loose)
    assert fetched(bob, team) == {"labels.csv"}
    for project in (bob, team.alice):
        assert "removed 1 image from 1 place" in pipeline(project, "remove", member)
    assert fetched(bob, team) <= {"labels.csv", "first.zip"}
    for project in (bob, team.alice):
        assert "128 images, 30 new, 2 removed" in project.repro("ingest")
        assert "up to date" not in pipeline(project, "status")
    assert results(bob) == results(team.alice)
    (path,) = bob.add_digits(140, 141)
    assert "packed 1 image into 1 archive" in pipeline(bob, "pack")
    assert not path.exists()
    assert "129 images, 1 new, 0 removed" in bob.repro("ingest")


@pytest.mark.slow
def test_pulls_and_merges_fetch_what_is_here(team: Team) -> None:
    """Others' additions stay on the remote; their changes to local files are applied; both sides' images are kept."""
    bob = team.clone("bob")
    (mine,) = bob.add_digits(100, 101)
    bob.dvc("pull", "--quiet", "data/raw/first.zip")
    bob.repro("ingest")
    bob.commit("one more")
    for project in (team.alice, bob):
        pipeline(project, "setup")
    loose = sorted(path for path in raw(team.alice) if path.endswith(".png"))
    (team.alice.root / "data/raw" / loose[0]).unlink()
    moved = team.alice.root / "data/raw" / loose[2]
    moved.rename(moved.with_name("moved.png"))
    zip_digits(team.alice, 60, 90, team.alice.root / "data/raw/first.zip")
    zip_digits(team.alice, 110, 120, team.alice.root / "data/raw/second.zip")
    team.alice.repro("ingest")
    team.publish(team.alice, "fewer and more")
    bob.add_digits(101, 102)  # Not committed.
    out = bob.git("pull", "--quiet", "--no-rebase", "--no-edit", "origin", "main")
    assert (
        "data/raw: 1 file added (1 of them on the remote only), 1 removed, 1 changed, 1 moved, as data/raw.dvc" in out
    )
    name = mine.relative_to(bob.root / "data/raw").as_posix()
    committed = {**raw(team.alice), name: raw(bob)[name]}
    assert raw(bob)["first.zip"] == raw(team.alice)["first.zip"]
    assert fetched(bob, team) == {"labels.csv", "first.zip"}
    assert pipeline(bob, "sync") == "data/raw is in sync with data/raw.dvc\n"
    out = bob.repro("ingest")
    assert "listing: 65 files in data/raw; 61 of them not here" in out
    assert committed.items() < listed(bob).items()
    assert len(listed(bob)) == len(committed) + 1
    assert fetched(bob, team) >= {"second.zip"}  # Its images are new to this clone's data/images.

    for hook in (bob.root / ".git/hooks").glob("post-*"):
        hook.unlink()
    bob.commit("both")
    (team.alice.root / "data/raw" / loose[1]).unlink()
    team.alice.add_digits(130, 133)
    team.alice.repro("ingest")
    team.alice.commit("more")
    team.alice.dvc("push", "--quiet")
    team.alice.git("push", "--quiet", "origin", "HEAD:main")
    bob.git("pull", "--quiet", "--no-rebase", "--no-edit", "origin", "main")
    assert "pipeline sync" in bob.repro("ingest", ok=False)
    assert "3 files added (3 of them on the remote only), 1 removed, 0 changed" in pipeline(bob, "sync")
    assert "files brought back; next: dvc repro" in pipeline(bob, "sync", "--restore")
    assert raw(bob) == listed(bob)


@pytest.mark.slow
@pytest.mark.nightly
def test_watch_in_a_fresh_clone(team: Team) -> None:
    """`watch` creates the folder, trains on new images, commits, and then has nothing to do."""
    bob = team.clone("bob")
    out = pipeline(bob, "watch", "--once", "--settle", "0", "--commit")
    assert "error" not in out
    zip_digits(bob, 100, 130, bob.root / "data/raw/new.zip")
    assert "30 new images" in pipeline(bob, "watch", "--once", "--settle", "0", "--commit")
    assert bob.git("status", "--porcelain") == ""
    assert len(listed(bob)) == 64
    assert "nothing to do" in pipeline(bob, "watch", "--once", "--settle", "0", "--commit")


@pytest.mark.slow
def test_git_goes_on_without_hooks(team: Team) -> None:
    """Files listed by Git meanwhile never count as removed, even before a first run; `sync` or `--keep` resolve it."""
    bob = team.clone("bob")
    zip_digits(bob, 100, 130, team.folder / "new.zip")
    pipeline(bob, "add", str(team.folder / "new.zip"))
    zip_digits(team.alice, 130, 140, team.alice.root / "data/raw/second.zip")
    team.alice.repro("ingest")
    team.publish(team.alice, "more")
    bob.git("pull", "--quiet", "--ff-only")
    assert "pipeline sync" in bob.repro("listing", ok=False)
    assert "1 file added (1 of them on the remote only), 0 removed, 0 changed" in pipeline(bob, "sync")
    assert "listing: 65 files in data/raw; 63 of them not here" in bob.repro("listing")
    assert listed(bob).items() > raw(team.alice).items()

    before = listed(bob)
    bob.commit("both")
    (team.alice.root / "data/raw/second.zip").unlink()
    team.alice.add_digits(140, 142)
    team.alice.repro("ingest")
    team.publish(team.alice, "others")
    bob.git("pull", "--quiet", "--no-rebase", "--no-edit", "--strategy-option", "theirs")
    assert "pipeline sync" in bob.repro("listing", ok=False)
    assert "is kept" in pipeline(bob, "sync", "--keep")
    assert "listing: 65 files in data/raw; 63 of them not here" in bob.repro("listing")
    assert listed(bob) == before
