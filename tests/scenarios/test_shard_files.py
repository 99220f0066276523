"""Shards as single files: added without the others, pushed, collected, merged, erased, migrated."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Project
from pyarrow.parquet import read_schema

from pipeline.images.shard_files import named_shards
from pipeline.images.shards import shard_name

pytestmark = [
    pytest.mark.xdist_group("lightning"),
    pytest.mark.filterwarnings(r"ignore:::lightning\..*"),
]
CALL = ("python", "-m", "pipeline")
INDEX = "data/images/index.parquet"


@pytest.fixture(scope="module")
def grown(make_project: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with three shards on a remote. Tests copy it."""
    folder = tmp_path_factory.mktemp("shards")
    project = make_project(folder / "project")
    project.dvc("remote", "add", "--default", "team", str(folder / "remote"))
    project.dvc("config", "core.autostage", "true")
    for start in (0, 40, 80):
        project.add_digits(start, start + 40)
        project.add_raw()
        project.pipeline("run", "listing")
        project.pipeline("run", "ingest")
    project.repro("manifest")
    project.commit("120 images")
    project.dvc("push", "--quiet")
    return project


@pytest.fixture
def first(grown: Project, tmp_path: Path) -> Project:
    """Return a copy of that project."""
    shutil.copytree(grown.root, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


def shards(project: Project) -> dict[str, str]:
    """Return the MD5s of the shards in the index, by file name."""
    files = named_shards(project.root / INDEX)
    return {shard_name(number): file.md5 for number, file in files.items()}


def here(project: Project) -> set[str]:
    """Return the shards in data/shards."""
    return {path.name for path in (project.root / "data/shards").glob("*")}


def fetched(project: Project) -> set[str]:
    """Return the hashes of the objects in the project's cache."""
    cache = project.root / ".dvc/cache/files/md5"
    return {path.parent.name + path.name for path in cache.glob("*/*")}


def listed(project: Project) -> set[str]:
    """Return the files in data/shards.dvc, by DVC's own listing."""
    return set(project.dvc("list", ".", "data/shards", "--dvc-only").out.split())


def partial(project: Project, to: Path) -> Project:
    """Make a clone with the files of data/raw and no other DVC data."""
    clone = project.clone(to)
    clone.dvc("pull", "--quiet", "data/raw.dvc")
    return clone


def test_index_names_them(first: Project) -> None:
    """The index has hashes and sizes of shards; data/shards.dvc, which is in Git, lists the same ones."""
    assert sorted(shards(first)) == ["000000.tar", "000001.tar", "000002.tar"] == sorted(listed(first))
    assert shards(first) == {Path(name).name: md5 for name, md5 in first.snapshot("data/shards").items()}
    assert b"shards" in (read_schema(first.root / INDEX).metadata or {})
    assert first.git("status", "--porcelain") == ""
    assert first.git("ls-files", "data/shards.dvc").strip() == "data/shards.dvc"


def test_added_without_the_others(first: Project, tmp_path: Path) -> None:
    """A clone without shards appends one, fetches none, and records the same as a full one."""
    before, clone = shards(first), partial(first, tmp_path / "clone")
    for project in (first, clone):
        project.add_digits(120, 125)
        project.git("gc", "--quiet")
        out = project.repro("ingest")
        assert "125 images, 5 new, 0 removed, 0 refused; 5 decoded" in out
        assert "Exception ignored" not in out
    assert here(clone) == {"000003.tar"}
    assert fetched(clone).isdisjoint(before.values())
    assert clone.lock()["ingest"] == first.lock()["ingest"]
    assert clone.read("data/shards.dvc") == first.read("data/shards.dvc")
    assert "0 new, 0 removed, 0 refused; 0 decoded" in clone.pipeline("run", "ingest").out
    assert fetched(clone).isdisjoint(before.values())
    clone.commit("5 more")
    clone.dvc("push", "--quiet")
    another = clone.clone(tmp_path / "another")
    another.dvc("pull", "--quiet", "data/images", "data/shards.dvc")
    assert another.snapshot("data/shards", "data/images") == first.snapshot("data/shards", "data/images")


def grown_remote(project: Project) -> Path:
    """Return the folder of its remote."""
    return Path(project.dvc("config", "remote.team.url").out.strip())


@pytest.mark.slow
def test_training_reads_what_is_elsewhere(first: Project, tmp_path: Path) -> None:
    """A clone without the old shards trains the same model as a full one."""
    clone = partial(first, tmp_path / "clone")
    for project in (first, clone):
        project.add_digits(120, 130)
    first.repro("manifest")
    first.pipeline("run", "train")
    clone.repro("train")
    assert clone.snapshot("data/model") == first.snapshot("data/model")


@pytest.mark.slow
def test_collected_and_checked_out(first: Project) -> None:
    """`dvc gc` keeps exactly the shards in the index; `dvc checkout` restores those of another commit."""
    before = first.snapshot("data/shards", "data/images")
    first.add_digits(120, 130)
    first.repro("manifest")
    first.commit("10 more")
    after = first.snapshot("data/shards", "data/images")
    first.dvc("gc", "--workspace", "--force", "--quiet")
    assert set(shards(first).values()) <= fetched(first)
    first.git("checkout", "--quiet", "HEAD~1")
    first.dvc("pull", "--quiet", "data/images", "data/shards.dvc")
    assert first.snapshot("data/shards", "data/images") == before
    first.git("checkout", "--quiet", "main")
    first.dvc("checkout", "--quiet", "data/images", "data/shards.dvc")
    assert first.snapshot("data/shards", "data/images") == after


@pytest.mark.slow
def test_erased_in_a_clone_without_shards(first: Project, tmp_path: Path) -> None:
    """Only the shard with the image is fetched, and written again."""
    clone, before = partial(first, tmp_path / "clone"), shards(first)
    clone.repro("ingest")
    (image,) = sorted((clone.root / "data/raw/digit 0").glob("*.png"))[:1]
    clone.run(*CALL, "remove", "--erase", str(image.relative_to(clone.root / "data/raw")))
    assert "119 images, 0 new, 1 removed" in clone.repro("ingest")
    assert before["000000.tar"] in fetched(clone)
    assert fetched(clone).isdisjoint({before["000001.tar"], before["000002.tar"]})
    assert here(clone) == {"000003.tar"}
    assert sorted(shards(clone)) == ["000001.tar", "000002.tar", "000003.tar"] == sorted(listed(clone))


@pytest.mark.slow
def test_a_shard_that_is_nowhere(first: Project, tmp_path: Path) -> None:
    """Images of a lost shard are decoded again; if the remote cannot be reached, nothing is changed, with an error."""
    clone = partial(first, tmp_path / "clone")
    md5, remote = shards(first)["000001.tar"], grown_remote(first)
    lost = remote / "files/md5" / md5[:2] / md5[2:]
    away = tmp_path / "away"
    lost.rename(away)
    assert "40 stored images are damaged: decoding them again" in clone.repro("ingest")
    assert here(clone) == {"000003.tar"}
    assert sorted(shards(clone)) == ["000000.tar", "000002.tar", "000003.tar"]
    away.rename(lost)
    other = partial(first, tmp_path / "other")
    other.dvc("pull", "--quiet", "data/images")
    remote.rename(tmp_path / "unmounted")
    other.add_digits(120, 121)
    said = other.repro("ingest", ok=False)
    (tmp_path / "unmounted").rename(remote)
    assert "ingest: error: data/shards/000000.tar: not here, and the remote cannot be asked: " in said
    assert "5 decoded" not in said


@pytest.mark.slow
@pytest.mark.nightly
def test_merged(first: Project, tmp_path: Path) -> None:
    """Two sides that appended shards of the same number merge without a conflict, to the kept model's shard."""
    first.repro()
    first.commit("trained")
    first.dvc("push", "--quiet")
    other = first.clone(tmp_path / "other")
    other.dvc("pull", "--quiet")
    for project, start in ((first, 120), (other, 140)):
        project.run(*CALL, "setup")
        project.add_digits(start, start + 20)
        project.repro()
        project.commit(f"from {start}")
        project.dvc("push", "--quiet")
    sides = [project.read("data/shards.dvc") for project in (first, other)]
    locks = [project.read("dvc.lock") for project in (first, other)]
    first.git("pull", "--quiet", "--no-rebase", "--no-edit", str(other.root), "main")
    assert sides.index(first.read("data/shards.dvc")) == locks.index(first.read("dvc.lock"))
    assert "160 images" in first.repro("ingest")
    assert sorted(listed(first)) == sorted(shards(first))
    assert shards(first) == {Path(name).name: md5 for name, md5 in first.snapshot("data/shards").items()}
