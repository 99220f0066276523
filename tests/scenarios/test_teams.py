"""Two people, a bare repository and a remote, with branches that both grew: real Git, real DVC."""

import json
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import Project, stages_run

MANIFESTS = ("train.csv", "val.csv", "test.csv")


class Team(NamedTuple):
    """Two clones of one repository with one remote."""

    folder: Path
    alice: Project
    bob: Project


def pipeline(project: Project, *arguments: str, ok: bool | None = True) -> str:
    """Run `pipeline` in `project`, and return its output."""
    return project.run("python", "-m", "pipeline", *arguments, ok=ok).out


def publish(project: Project, message: str) -> None:
    """Commit and push everything."""
    project.commit(message)
    project.dvc("push", "--quiet")
    project.git("push", "--quiet", "--force", "origin", f"HEAD:{project.root.name}")


def copy(team: Team, to: Path) -> Team:
    """Copy both clones and remotes to the folder `to`."""
    shutil.copytree(team.folder, to, symlinks=True)
    alice, bob = Project(to / "alice"), Project(to / "bob")
    for project in (alice, bob):
        project.dvc("remote", "add", "--local", "--force", "storage", str(to / "remote"))
        project.git("remote", "set-url", "origin", str(to / "origin"))
        project.git("fetch", "--quiet", "origin")
    return Team(to, alice, bob)


@pytest.fixture(scope="module")
def start(make_project: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Team:
    """Return two clones with the same generation. Tests copy them."""
    folder = tmp_path_factory.mktemp("start")
    alice = make_project(folder / "alice")
    alice.add_digits(0, 100)
    alice.dvc("remote", "add", "--default", "storage", str(folder / "remote"))
    alice.dvc("add", "--quiet", "data/raw")
    alice.repro()
    alice.run("git", "init", "--quiet", "--bare", str(folder / "origin"))
    alice.git("remote", "add", "origin", str(folder / "origin"))
    publish(alice, "generation 1")
    bob = Project(folder / "bob")
    alice.run("git", "clone", "--quiet", "--branch", "alice", str(folder / "origin"), str(bob.root))
    bob.git("checkout", "--quiet", "-B", "main")
    bob.dvc("pull", "--quiet")
    for project in (alice, bob):
        assert pipeline(project, "setup").startswith("set up: ")
    return Team(folder, alice, bob)


@pytest.fixture(scope="module")
def grown(start: Team, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """Return a team where Alice trained on 30 more images, and Bob on 20 more, 10 fewer, and one of a new class."""
    team = copy(start, tmp_path_factory.mktemp("grown") / "team")
    team.alice.add_digits(100, 130)
    team.bob.add_digits(130, 150)
    for path in team.bob.add_digits(0, 10):
        path.unlink()
    moved = next((team.bob.root / "data/raw/digit 1").iterdir())
    moved.rename(team.bob.root / "data/raw/digit 7" / moved.name)
    for project, message in ((team.alice, "30 more"), (team.bob, "20 more, 10 less")):
        assert stages_run(project.repro()) == ["ingest", "manifest", "train", "evaluate"]
        publish(project, message)
    for project in (team.alice, team.bob):
        project.git("fetch", "--quiet", "origin")
    return team


@pytest.fixture
def team(grown: Team, tmp_path: Path) -> Team:
    """Return a copy of `grown` that tests may change."""
    return copy(grown, tmp_path / "team")


def raw(project: Project) -> dict[str, str]:
    """Return the files of data/raw, and their MD5."""
    return project.snapshot("data/raw")


def manifests(project: Project) -> dict[str, str]:
    """Return the content of the splits."""
    return {name: project.read(f"data/manifest/{name}") for name in MANIFESTS}


def union(team: Team) -> dict[str, str]:
    """Return data/raw as it has to be after merging the unmerged `team`; Alice removed nothing."""
    alice, bob = raw(team.alice), raw(team.bob)
    before = {path for path in alice if int(Path(path).stem) < 100}
    return {path: md5 for path, md5 in (alice | bob).items() if path in bob or path not in before}


def validation(project: Project, revision: str) -> float:
    """Return the validation accuracy of the model that a commit recorded."""
    return float(json.loads(project.git("show", f"{revision}:data/report/lineage.json"))["validation"])


def model(project: Project, revision: str) -> str:
    """Return the model that a commit recorded."""
    return str(json.loads(project.git("show", f"{revision}:data/report/lineage.json"))["model"])


def check_merged(project: Project, expected: dict[str, str], ours: str, theirs: str) -> None:
    """Assert that nothing is lost or partial, and that the next run starts from the better side and names the other."""
    assert project.git("status", "--porcelain") == ""
    assert raw(project) == expected
    better = theirs if validation(project, theirs) > validation(project, ours) else ours
    other = ours if better == theirs else theirs
    assert project.read("dvc.lock") == project.git("show", f"{better}:dvc.lock")
    lineage = json.loads(project.read("data/report/lineage.json"))
    assert (lineage["model"], lineage["others"]) == (model(project, better), [model(project, other)])
    assert json.loads(project.read("data/report/metrics.json"))["validation"] == validation(project, better)


@pytest.mark.slow
def test_merge_and_repro(team: Team) -> None:
    """`git merge` and `dvc repro` train on the union, warm from the better model, and name the other one."""
    expected, bob = union(team), team.bob
    out = bob.git("merge", "--quiet", "--message", "both", "origin/alice")
    assert "data/raw: 30 files added, 0 removed, 0 changed" in out
    check_merged(bob, expected, "HEAD^1", "HEAD^2")
    base, other = (json.loads(bob.read("data/report/lineage.json"))[key] for key in ("model", "others"))
    out = bob.repro()
    assert stages_run(out) == ["ingest", "manifest", "train", "evaluate"]
    assert f"base {base[:8]}…, merged with {other[0][:8]}…" in out
    assert f"train: warm start from {base[:8]}…, generation 3" in out
    for path in ("data/model/lineage.json", "data/report/lineage.json"):
        lineage = json.loads(bob.read(path))
        assert (lineage["base"], lineage["merged"], lineage.get("others", [])) == (base, other, [])
    bob.commit("generation 3")
    bob.repro("--force")
    assert bob.git("status", "--porcelain") == ""
    logged = json.loads(pipeline(bob, "log", "--json"))
    assert [one["recorded"]["generation"] for one in logged] == [3, 2, 2, 1]
    assert {*logged[0]["parents"]} == {one["commit"] for one in logged[1:3]}

    publish(bob, "nothing more")
    team.alice.git("fetch", "--quiet", "origin")
    out = team.alice.git("merge", "--ff-only", "origin/bob")
    assert "data/raw: " in out
    assert raw(team.alice) == expected
    team.alice.dvc("pull", "--quiet")
    assert stages_run(team.alice.repro()) == []


@pytest.mark.slow
def test_either_order_gives_the_same_manifest(team: Team) -> None:
    """Either order of merging gives the same images in the same splits."""
    expected = union(team)
    for project, theirs in ((team.bob, "origin/alice"), (team.alice, "origin/bob")):
        project.git("merge", "--quiet", "--message", "both", theirs)
        check_merged(project, expected, "HEAD^1", "HEAD^2")
        project.repro("manifest")
    assert manifests(team.alice) == manifests(team.bob)
    assert len({line for text in manifests(team.bob).values() for line in text.splitlines()[1:]}) > 100


@pytest.mark.slow
@pytest.mark.nightly
def test_rebase_and_cherry_pick(team: Team) -> None:
    """A rebase and a cherry-pick give the same as a merge."""
    expected, bob = union(team), team.bob
    bob.git("tag", "mine")
    bob.git("rebase", "--quiet", "origin/alice")
    check_merged(bob, expected, "origin/alice", "mine")
    bob.git("checkout", "--quiet", "mine")
    assert raw(bob) == raw(copy(team, team.folder.parent / "second").bob) != expected
    bob.git("cherry-pick", "origin/alice")
    check_merged(bob, expected, "mine", "origin/alice")


@pytest.mark.slow
@pytest.mark.nightly
def test_without_setup_conflicts_are_resolved(team: Team) -> None:
    """Without our driver Git shows conflicts, and `pipeline resolve` ends them as the driver would."""
    expected, bob = union(team), team.bob
    bob.git("config", "--remove-section", "merge.treering")
    for hook in (bob.root / ".git/hooks").glob("post-*"):
        hook.unlink()
    out = bob.run("git", "merge", "origin/alice", ok=False).out
    assert "CONFLICT" in out
    conflicts = bob.git("diff", "--name-only", "--diff-filter=U").splitlines()
    assert {"data/raw.dvc", "data/shards.dvc", "dvc.lock"} < {*conflicts}
    failed = bob.repro(ok=False)
    assert "Traceback" not in failed
    assert pipeline(bob, "resolve").startswith(f"resolved {len(conflicts)} files:")
    bob.git("commit", "--quiet", "--no-edit")
    check_merged(bob, expected, "HEAD^1", "HEAD^2")
    assert pipeline(bob, "resolve") == "no conflicts\n"


@pytest.mark.slow
@pytest.mark.parametrize("take", ["ours", pytest.param("theirs", marks=pytest.mark.nightly)])
def test_same_file_changed_on_both_sides_is_a_conflict(start: Team, tmp_path: Path, take: str) -> None:
    """A file changed on both sides is a named conflict; the user chooses a side for it, and all else is merged."""
    team = copy(start, tmp_path / "team")
    for project, image, new in ((team.alice, 200, 210), (team.bob, 201, 220)):
        (path,) = project.add_digits(5, 6)
        (other,) = project.add_digits(image, image + 1, into="../elsewhere")
        other.replace(path)
        project.add_digits(new, new + 1)
        project.dvc("commit", "--force", "--quiet", "data/raw.dvc")
        publish(project, "another file")
    team.bob.git("fetch", "--quiet", "origin")
    before = raw(team.bob)
    out = team.bob.run("git", "merge", "origin/alice", ok=False).out
    name = path.relative_to(team.bob.root).as_posix()
    assert (
        f"data/raw: {name.removeprefix('data/raw/')} was changed here and there; run `pipeline resolve --ours`" in out
    )
    assert raw(team.bob) == before
    assert "--theirs" in pipeline(team.bob, "resolve", ok=False)
    assert "resolved 1 file" in pipeline(team.bob, "resolve", f"--{take}")
    team.bob.git("commit", "--quiet", "--no-edit")
    winner = team.bob if take == "ours" else team.alice
    assert raw(team.bob)[name] == (before[name] if take == "ours" else raw(winner)[name])
    assert {Path(path).stem for path in raw(team.bob)} >= {"0210", "0220"}


@pytest.mark.nightly
@pytest.mark.slow
def test_images_that_others_added_are_not_taken_for_removed(start: Team, tmp_path: Path) -> None:
    """Without hooks, `dvc repro` after a pull would lose others' images; it refuses, and `pipeline sync` gets them."""
    team = copy(start, tmp_path / "team")
    team.alice.add_digits(100, 110)
    team.alice.dvc("commit", "--force", "--quiet", "data/raw.dvc")
    publish(team.alice, "10 more")
    bob = team.bob
    for hook in (bob.root / ".git/hooks").glob("post-*"):
        hook.unlink()
    bob.git("fetch", "--quiet", "origin")
    bob.git("merge", "--quiet", "--ff-only", "origin/alice")
    bob.add_digits(120, 125)
    failed = bob.repro(ok=False)
    (complaint,) = (line for line in failed.splitlines() if "error:" in line)
    assert "pipeline sync" in complaint
    assert "data/raw: 10 files added" in pipeline(bob, "sync")
    assert raw(bob).keys() == raw(team.alice).keys() | {
        path.relative_to(bob.root).as_posix() for path in bob.add_digits(120, 125)
    }
    bob.repro("ingest")
    assert pipeline(bob, "sync") == "data/raw is in sync with data/raw.dvc\n"


@pytest.mark.slow
def test_a_part_of_data_raw_never_becomes_the_record(start: Team, tmp_path: Path) -> None:
    """A clone without the images can add more, also by `dvc add`; no run counts the absent ones as removed."""
    team = copy(start, tmp_path / "team")
    carol = team.alice.clone(tmp_path / "carol")
    carol.dvc("remote", "add", "--local", "--force", "storage", str(team.folder / "remote"))
    listed = raw(team.alice)
    with zipfile.ZipFile(tmp_path / "new.zip", "w") as archive:
        for path in team.bob.add_digits(100, 110, into="../../more"):
            archive.write(path, f"{path.parent.name}/{path.name}")
    (carol.root / "data/raw").mkdir()
    shutil.copy(tmp_path / "new.zip", carol.root / "data/raw")
    carol.dvc("add", "--quiet", "data/raw/new.zip")
    out = carol.repro("--allow-missing", "ingest")
    assert "listing: 101 files in data/raw; 100 of them not here" in out
    assert "110 images, 10 new, 0 removed" in out
    carol.commit("10 more")
    assert stages_run(carol.repro("ingest")) == []
    carol.add_digits(110, 111)
    assert "111 images, 1 new, 0 removed" in carol.repro("ingest")
    assert "100 files brought back" in pipeline(carol, "sync", "--restore")
    assert stages_run(carol.repro("ingest")) == []
    assert set(raw(carol)) > {*listed, "data/raw/new.zip"}


@pytest.mark.slow
def test_labels_of_both_sides_are_kept(start: Team, tmp_path: Path) -> None:
    """Rows that both sides append to labels.csv are merged; two labels for one path are a conflict.

    The result has our dialect, though their file was written by another program.
    """
    team = copy(start, tmp_path / "team")
    first, second, third = (path.relative_to(team.alice.root / "data/raw") for path in team.alice.add_digits(0, 3))
    for project, rows in (
        (team.alice, f"path\tlabel\n{first}\tmine\n{third}\tmine\n".encode("utf-16")),
        (team.bob, f"Path;Label\r\n{second};yours\r\n{third};yours\r\n".encode()),
    ):
        (project.root / "data/raw/labels.csv").write_bytes(rows)
        project.repro("ingest")
        publish(project, "labels")
    bob = team.bob
    bob.git("fetch", "--quiet", "origin")
    out = bob.run("git", "merge", "origin/alice", ok=False).out
    assert f"labels.csv was changed here and there: {third} is 'yours' here and 'mine' there" in out
    assert "resolved" in pipeline(bob, "resolve", "--theirs")
    bob.git("commit", "--quiet", "--all", "--message", "merged")
    merged = (bob.root / "data/raw/labels.csv").read_bytes().decode().split("\r\n")
    assert sorted(merged) == sorted(["Path;Label", f"{first};mine", f"{second};yours", f"{third};mine", ""])
    assert "100 images, 0 new, 0 removed" in bob.repro("ingest")


@pytest.mark.slow
def test_a_lost_cache_is_not_taken_for_lost_images(start: Team, tmp_path: Path) -> None:
    """If cache and remote are lost but not data/raw, the error says what is unknown, and one command resolves it."""
    team = copy(start, tmp_path / "team")
    for folder in (team.bob.root / ".dvc/cache", team.bob.root / "data/.progress", team.folder / "remote"):
        shutil.rmtree(folder)
    team.bob.add_digits(100, 110)
    said = team.bob.repro("ingest", ok=False)
    assert (
        "the listing that data/raw.dvc names in Git is not in DVC's cache, so it is not known what is missing" in said
    )
    assert "if no file is missing, run `pipeline sync --keep`; else `pipeline sync --restore`" in said
    pipeline(team.bob, "sync", "--keep")
    assert "110 images, 10 new, 0 removed" in team.bob.repro("ingest")


@pytest.mark.slow
def test_lost_images_are_brought_back(start: Team, tmp_path: Path) -> None:
    """If a folder is lost by accident, the run stops, and one command restores the images and keeps the rest."""
    bob = copy(start, tmp_path / "team").bob
    bob.set_params(ingest={"max_removed": 0.2})
    before = raw(bob)
    for number in range(4):
        shutil.rmtree(bob.root / f"data/raw/digit {number}")
    added = bob.add_digits(100, 105)
    assert "pipeline sync --restore" in bob.repro("ingest", ok=False)
    assert "files brought back; next: dvc repro" in pipeline(bob, "sync", "--restore")
    assert raw(bob).items() >= before.items()
    assert all(path.exists() for path in added)
    assert "105 images, 5 new, 0 removed" in bob.repro("ingest")


@pytest.mark.slow
@pytest.mark.parametrize("committed", [True, False])
def test_lost_images_are_brought_back_that_nobody_committed(start: Team, tmp_path: Path, *, committed: bool) -> None:
    """Uncommitted images are restored from DVC's cache, next to committed ones, or without any commit."""
    bob = copy(start, tmp_path / "team").bob
    bob.set_params(ingest={"max_removed": 0.2})
    if not committed:
        shutil.rmtree(bob.root / ".git")
        bob.git("init", "--quiet")
    bob.add_digits(100, 130)
    bob.repro("ingest")
    before = raw(bob)
    for number in range(4):
        shutil.rmtree(bob.root / f"data/raw/digit {number}")
    assert "pipeline sync --restore" in bob.repro("ingest", ok=False)
    assert "files brought back; next: dvc repro" in pipeline(bob, "sync", "--restore")
    assert raw(bob) == before
    assert stages_run(bob.repro("ingest")) == []


@pytest.mark.slow
@pytest.mark.nightly
def test_data_raw_can_be_kept_as_it_is(start: Team, tmp_path: Path) -> None:
    """A user who goes back in Git can confirm that the current images are intended."""
    bob = copy(start, tmp_path / "team").bob
    bob.repro("ingest")
    bob.add_digits(100, 110)
    bob.repro("ingest")
    bob.commit("10 more")
    for hook in (bob.root / ".git/hooks").glob("post-*"):
        hook.unlink()
    bob.git("reset", "--quiet", "--hard", "HEAD^")
    assert "pipeline sync --keep" in bob.repro("ingest", ok=False)
    assert "is kept" in pipeline(bob, "sync", "--keep")
    assert "110 images" in bob.repro("ingest")


@pytest.mark.slow
@pytest.mark.nightly
def test_checkout_brings_the_images_of_a_branch(team: Team) -> None:
    """With the hooks data/raw follows a branch, and new files in it are kept."""
    bob = team.bob
    before = raw(bob)
    (new,) = bob.add_digits(190, 191)
    bob.git("checkout", "--quiet", "-b", "theirs", "origin/alice")
    name = new.relative_to(bob.root).as_posix()
    assert raw(bob).keys() == raw(team.alice).keys() | {name}
    bob.git("checkout", "--quiet", "--force", "main")
    assert raw(bob).keys() == before.keys() | {name}


@pytest.mark.slow
@pytest.mark.nightly
def test_unreachable_remote_is_a_conflict_not_a_loss(team: Team) -> None:
    """If their images cannot be listed, the merge stops with the reason, and no side is taken as a whole."""
    (team.folder / "remote").rename(team.folder / "gone")
    before = raw(team.bob)
    out = team.bob.run("git", "merge", "origin/alice", ok=False).out
    assert "data/raw: " in out
    assert "cannot be pulled from remote" in out
    assert raw(team.bob) == before
    (team.folder / "gone").rename(team.folder / "remote")
    expected = union(team)
    pipeline(team.bob, "resolve")
    team.bob.git("commit", "--quiet", "--no-edit")
    check_merged(team.bob, expected, "HEAD^1", "HEAD^2")


@pytest.mark.slow
def test_setup_leaves_other_hooks_alone(start: Team, tmp_path: Path) -> None:
    """A foreign hook is kept and reported; ours can be set up twice."""
    bob = copy(start, tmp_path / "team").bob
    hook = bob.root / ".git/hooks/post-merge"
    hook.write_text("#!/bin/sh\necho mine\n")
    assert "the hook post-merge is your own" in pipeline(bob, "setup")
    assert hook.read_text() == "#!/bin/sh\necho mine\n"
    hook.unlink()
    assert "not ours" not in pipeline(bob, "setup")
    bob.git("config", "core.hooksPath", str(tmp_path / "shared"))
    assert "the hook post-merge is your own" in pipeline(bob, "setup")
    assert not (tmp_path / "shared").exists()


def change_at_random(project: Project, lots: random.Random, fresh: range) -> None:
    """Add, remove and relabel images of `fresh`, which belong to this side only."""
    for number in fresh:
        action = lots.choice(["nothing", "remove", "relabel", "rename", "copy"])
        (path,) = (project.root / "data/raw").rglob(f"{number:04d}.png")
        folder = project.root / "data/raw" / f"digit {lots.randrange(10)}"
        if action == "remove":
            path.unlink()
        elif action in ("relabel", "rename"):
            path.rename((folder if action == "relabel" else path.parent) / f"{number:04d}-{action}.png")
        elif action == "copy":
            shutil.copy(path, path.with_name(f"{number:04d}-copy.png"))


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(3))
def test_random_changes_merge_in_either_order(start: Team, tmp_path: Path, seed: int) -> None:
    """After random changes by both sides to their own images, both merge orders give all of them, and a warm start."""
    team, lots = copy(start, tmp_path / "team"), random.Random(seed)
    expected: dict[str, str] = {}
    for project, fresh, new in ((team.alice, range(50), 100), (team.bob, range(50, 100), 140)):
        change_at_random(project, lots, fresh)
        project.add_digits(new, new + lots.randrange(1, 30))
        project.repro()
        publish(project, "changes")
        own = {*fresh, *range(new, new + 30)}
        expected |= {path: md5 for path, md5 in raw(project).items() if int(Path(path).stem[:4]) in own}
    for project in (team.alice, team.bob):
        project.git("fetch", "--quiet", "origin")
    for project, theirs in ((team.alice, "origin/bob"), (team.bob, "origin/alice")):
        project.git("merge", "--quiet", "--message", "both", theirs)
        assert raw(project) == expected
        assert "train: warm start from" in project.repro()
        assert not [path for path in ("dvc.lock", "data/raw.dvc") if "<<<<" in project.read(path)]
    assert manifests(team.alice) == manifests(team.bob)


@pytest.mark.nightly
@pytest.mark.slow
def test_branches_that_differ_in_params_alone(start: Team, tmp_path: Path) -> None:
    """Params of both branches are used; the losing model stays recorded until a training on other images names it."""
    team = copy(start, tmp_path / "team")
    for project, params in ((team.alice, {"lr": 0.02}), (team.bob, {"label_smoothing": 0.2})):
        project.set_params(train=params)
        project.repro()
        publish(project, "other params")
    bob = team.bob
    bob.git("fetch", "--quiet", "origin")
    bob.git("merge", "--quiet", "--message", "both", "origin/alice")
    (other,) = json.loads(bob.read("data/report/lineage.json"))["others"]
    assert stages_run(bob.repro()) == ["train", "evaluate"]
    recorded = json.loads(bob.read("data/report/lineage.json"))
    assert (recorded["others"], recorded["merged"], recorded["base"]) == ([other], [], None)
    bob.commit("both")
    bob.repro("--force", "--single-item", "evaluate")
    assert bob.git("status", "--porcelain") == ""
    bob.add_digits(100, 120)
    assert f"merged with {other[:8]}…" in bob.repro()
    recorded = json.loads(bob.read("data/report/lineage.json"))
    assert (recorded["others"], recorded["merged"]) == ([], [other])


@pytest.mark.nightly
@pytest.mark.slow
def test_fresh_clone_does_not_bring_back_what_others_removed(start: Team, tmp_path: Path) -> None:
    """Removed images are not restored, even before the first run; if both changed a file, sync asks for a choice."""
    team = copy(start, tmp_path / "team")
    team.bob.git("push", "--quiet", "origin", "main")
    carol = Project(tmp_path / "carol")
    team.bob.run("git", "clone", "--quiet", "--branch", "main", str(team.folder / "origin"), str(carol.root))
    carol.dvc("remote", "add", "--local", "--force", "storage", str(team.folder / "remote"))
    carol.dvc("pull", "--quiet", "data/raw.dvc")
    pipeline(carol, "setup")
    paths = sorted((team.alice.root / "data/raw").rglob("*.png"))
    paths[0].unlink()
    paths[1].write_bytes(paths[2].read_bytes() + b"alice's")
    team.alice.dvc("commit", "--force", "--quiet", "data/raw.dvc")
    team.alice.git("checkout", "--quiet", "-B", "main")
    team.alice.commit("one less, one other")
    team.alice.dvc("push", "--quiet")
    team.alice.git("push", "--quiet", "origin", "main")
    expected, name = raw(team.alice), paths[1].relative_to(team.alice.root).as_posix()
    carol.git("pull", "--quiet")
    assert raw(carol) == expected
    assert carol.git("status", "--porcelain") == ""

    bob = team.bob
    (bob.root / name).write_bytes(paths[2].read_bytes() + b"bob's")
    mine = raw(bob)
    out = bob.run("git", "pull", "--quiet", "origin", "main", ok=None).out
    assert f"{name.removeprefix('data/raw/')} was changed here and there; run `pipeline sync --ours`" in out
    assert raw(bob) == mine
    assert "pipeline sync" in pipeline(bob, "status")
    pipeline(bob, "sync", "--ours")
    assert raw(bob) == {**expected, name: mine[name]}
