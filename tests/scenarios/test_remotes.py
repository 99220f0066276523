"""A team's real remotes: a shared folder, SSH, S3; and runs during their failures."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, Project
from ruamel.yaml import YAML
from support.servers import KINDS, Server, SharedFolder

FETCH = (
    "import sys; from pipeline.versioning.fetching import fetch; fetch(sys.argv[1], what='the model', hint='do this')"
)
FILES = {"checkpoint.ckpt": "weights", "lineage.json": "{}"}


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Server:
    """Return an empty remote of each kind, not started."""
    (tmp_path / "server").mkdir()
    kind: type[Server] = request.param
    return kind(tmp_path / "server")


@pytest.fixture(scope="module")
def trained(make_project: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with one generation and no remote. Tests copy it."""
    project = make_project(tmp_path_factory.mktemp("remotes") / "project")
    project.add_digits(0, 120)
    project.dvc("add", "--quiet", "data/raw")
    project.repro()
    project.commit("generation 1")
    return project


@pytest.fixture
def first(trained: Project, tmp_path: Path) -> Project:
    """Return a copy of `trained` that tests may change."""
    shutil.copytree(trained.root, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


def push(project: Project, server: Server) -> None:
    """Make `server` the remote, and push everything to it."""
    server.configure(project)
    project.commit("a remote")
    project.dvc("push", "--quiet")


def colleague(project: Project, server: Server) -> Project:
    """Make a fresh clone with the images and a new one."""
    clone = project.clone(project.root.parent / "colleague")
    server.give_key(clone)
    clone.dvc("pull", "--quiet", "data/raw.dvc")
    clone.add_digits(120, 121)
    return clone


def cached(project: Project, oid: str) -> Path:
    """Return the path of an object in the project's cache."""
    return project.root / ".dvc/cache/files/md5" / oid[:2] / oid[2:]


def files_of(project: Project, oid: str) -> dict[str, str]:
    """Return the MD5s of the files of a directory, by path."""
    return {entry["relpath"]: entry["md5"] for entry in json.loads(cached(project, oid).read_text())}


def complaint(out: str) -> str:
    """Return the line in which a stage reports its error."""
    assert "Traceback" not in out
    assert "failed to transfer" not in out
    assert "decoding" not in out
    (line,) = (line for line in out.splitlines() if ": error: " in line)
    return line


def fails(project: Project, *command: str) -> str:
    """Run a stage that fails, assert that no record or output changed, and return its error."""
    before, lock = project.snapshot("data"), project.decided()
    # `listing` updates data/raw.dvc before any other stage; its duration is recorded.
    noted = ("data/raw.dvc", "data/raw.hash", "data/.progress/")
    kept = {path: md5 for path, md5 in before.items() if not path.startswith(noted)}
    said = complaint(project.run(*command, ok=False).out)
    assert kept.items() <= project.snapshot("data").items()
    assert project.decided() == lock
    assert not any((project.root / "data" / name).exists() for name in ("model", "base", "manifest/train.csv"))
    return said


def fetch(project: Project, oid: str, *, ok: bool = True) -> str:
    """Fetch a directory into the cache as stages do, and return the last line of output."""
    out = project.run(sys.executable, "-c", FETCH, oid, ok=ok, PYTHONPATH=str(ROOT)).out
    return out.splitlines()[-1] if out else ""


def test_fetching_from_a_remote_that_fails_and_comes_back(server: Server, tmp_path: Path) -> None:
    """For any remote, an outage and lost data have different one-line errors, and afterwards all works as before."""
    project = Project(tmp_path / "project")
    for name, text in FILES.items():
        (project.root / "given" / name).parent.mkdir(parents=True, exist_ok=True)
        (project.root / "given" / name).write_text(text)
    stage = {"cmd": "mkdir data && cp -r given data/model", "deps": ["given"], "outs": ["data/model"]}
    YAML().dump({"stages": {"train": stage}}, project.root / "dvc.yaml")
    for command in ("git init --quiet", "dvc init --quiet", "dvc repro --quiet"):
        project.run(*command.split())
    oid = project.lock()["train"]["outs"]["data/model"]
    cache = project.root / ".dvc/cache"
    with server:
        push(project, server)
        for lost in (oid, files_of(project, oid)["checkpoint.ckpt"]):
            content = server.take(lost)
            shutil.rmtree(cache)
            said = fetch(project, oid, ok=False)
            assert f"the model: {oid} is recorded, but cannot be found" in said
            assert ("since checkpoint.ckpt is missing" in said) == (lost != oid)
            assert said.endswith("(looked in workspace, cache and remote 'team'); do this")
            server.put(lost, content)
            fetch(project, oid)
        shutil.rmtree(cache)
        server.stop()
        said = fetch(project, oid, ok=False)
        assert f"the model: {oid} is recorded, but cannot be pulled from remote 'team': " in said
        assert said.endswith("; run `dvc repro` again when it can be")
        server.start()
        fetch(project, oid)
    assert {name: cached(project, md5).read_text() for name, md5 in files_of(project, oid).items()} == FILES


@pytest.mark.slow
def test_team_goes_on_from_its_checkpoint(first: Project, server: Server) -> None:
    """A colleague's clone starts warm from the checkpoint on the remote; while the remote is down nothing is lost."""
    model = first.lock()["train"]["outs"]["data/model"]
    with server:
        push(first, server)
        clone = colleague(first, server)
        server.stop()
        said = fails(clone, "dvc", "repro")
        assert f"data/model: {model} is recorded, but cannot be pulled from remote 'team': " in said
        server.start()
        assert f"train: warm start from {model[:8]}" in clone.repro("--pull")
        assert clone.lock()["train"]["deps"]["data/base"] == model
        clone.dvc("push", "--quiet")


@pytest.fixture
def folder(tmp_path: Path) -> Server:
    """Return the kind of remote that needs no server."""
    (tmp_path / "server").mkdir()
    return SharedFolder(tmp_path / "server")


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("lost", ["the listing", "checkpoint.ckpt", "lineage.json"])
def test_remote_that_has_lost_some_of_the_model(first: Project, folder: Server, lost: str) -> None:
    """If the remote lost part of the model, training fails rather than start cold; after a push it continues."""
    model = first.lock()["train"]["outs"]["data/model"]
    push(first, folder)
    clone = colleague(first, folder)
    content = folder.take(oid := model if lost == "the listing" else files_of(first, model)[lost])
    said = fails(clone, "dvc", "repro", "--pull")
    assert f"data/model: {model} is recorded, but cannot be found" in said
    assert "run `dvc push` where it was trained and then `dvc repro` here" in said
    folder.put(oid, content)
    assert f"base {model[:8]}" in clone.repro("--pull", "manifest")


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("lost", ["data/images", "data/images/index.parquet"])
def test_remote_that_has_lost_some_of_the_images(first: Project, folder: Server, lost: str) -> None:
    """If the remote lost stored images, they are made again from the raw ones, with the same manifests."""
    images = first.lock()["ingest"]["outs"]["data/images"]
    push(first, folder)
    clone = colleague(first, folder)
    oid = images if lost == "data/images" else files_of(first, images)[Path(lost).name]
    folder.take(oid)
    out = clone.repro("--pull", "manifest")
    assert "Traceback" not in out
    assert f"ingest: {lost}: {oid} is recorded, but cannot be found" in out
    assert "121 decoded" in out
    first.add_digits(120, 121)
    first.repro("manifest")
    assert first.lock()["manifest"]["outs"] == clone.lock()["manifest"]["outs"]


@pytest.mark.nightly
@pytest.mark.slow
def test_remote_that_is_full(first: Project, folder: Server) -> None:
    """A push to a full remote fails without a partial object; the next one completes."""
    folder.configure(first)
    first.commit("a remote")
    checkpoint = files_of(first, first.lock()["train"]["outs"]["data/model"])["checkpoint.ckpt"]
    blocks = cached(first, checkpoint).stat().st_size // 1024
    full = first.run("bash", "-c", f"ulimit -f {blocks} && dvc push", ok=False).out
    assert "failed to push" in full
    pushed = {path.parent.name + path.name for path in folder.objects.rglob("*") if path.is_file()}
    assert checkpoint not in pushed
    first.dvc("push")
    clone = first.clone(first.root.parent / "clone")
    clone.dvc("pull")
    assert "up to date" in clone.status()
