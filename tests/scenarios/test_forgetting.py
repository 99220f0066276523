"""A deletion request with `pipeline forget`, on real DVC and Git, with real kills and failing remotes."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import Project
from scenarios.test_erasing import CALL, files_with, odd, put, put_loose_and_packed, stored
from support.servers import KINDS, Server, SharedFolder

from pipeline import paths
from pipeline.versioning.lock import read_raw_hash

pytestmark = pytest.mark.slow


class Told(NamedTuple):
    """A project with three generations, and the images to forget."""

    root: Path
    loose: str
    """The id of an image in a folder, since generation 2."""
    packed: str
    """The id of an image in an archive with another one, since generation 2."""
    contents: list[bytes]
    """The bytes of these images, as original files and as stored."""


@pytest.fixture(scope="module")
def made(make_project: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Return such a project without a remote. Tests copy it."""
    project = make_project(tmp_path_factory.mktemp("forgetting") / "project")
    # All images that are not for test are trained on.
    project.set_params(manifest={"split": {"val": 0.0, "test": 0.02, "by": "hash", "group": None}})
    project.add_digits(0, 60)
    save_here(project)
    loose, packed = put_loose_and_packed(project)
    shutil.copy(project.root / "data/raw/digit 0/odd 1.bmp", project.root / "data/raw/digit 0/copy.bmp")
    project.add_digits(60, 70)
    save_here(project)
    project.add_digits(70, 75)
    save_here(project)
    contents = [odd(1), odd(2), stored(project, loose), stored(project, packed)]
    assert {loose, packed} <= set(project.ids("train"))
    return Told(project.root, loose, packed, contents)


def save_here(project: Project) -> None:
    """Run all stages, and commit."""
    if not (project.root / "data/raw.dvc").exists():
        project.dvc("add", "--quiet", "data/raw")
    project.repro()
    project.commit()


@pytest.fixture
def told(made: Told, tmp_path: Path) -> Told:
    """Return a copy of `made` that tests may change."""
    shutil.copytree(made.root, tmp_path / "project", symlinks=True)
    return made._replace(root=tmp_path / "project")


def share(project: Project, to: Path) -> None:
    """Make a folder the remote, with all generations, as if each had been pushed."""
    project.dvc("remote", "add", "--default", "team", str(to))
    project.commit("a remote")
    shutil.copytree(project.root / ".dvc/cache/files", to / "files")


def state(project: Project) -> dict[str, str]:
    """Return every relevant file by its hash, without locks."""
    found = project.snapshot("data", "dvc.lock", ".dvc/cache")
    return {path: md5 for path, md5 in found.items() if not path.endswith(".lock") or path == "dvc.lock"}


def left(told: Told, *folders: Path) -> list[Path]:
    """Return the files that contain the bytes of one of the images."""
    return [path for content in told.contents for path in files_with(content, told.root, *folders)]


def listed_on(remote: Path, oid: str) -> dict[str, bool]:
    """Return the files that the directory `oid` lists, and whether each is on the remote."""
    objects = remote / "files/md5"
    listed = json.loads((objects / oid[:2] / oid[2:]).read_text())
    return {one["relpath"]: (objects / one["md5"][:2] / one["md5"][2:]).exists() for one in listed}


def test_everything_goes(told: Told, tmp_path: Path) -> None:
    """File, copy, archive, shards, models and pictures are deleted locally, in cache and remote; the rest works."""
    project, remote = Project(told.root), tmp_path / "remote"
    share(project, remote)
    (project.root / "data/export").mkdir()
    (project.root / "data/export/model.onnx").write_bytes(b"weights")
    (remote / "progress/train/a").mkdir(parents=True)
    (remote / "progress/train/a/0000000001-b.ckpt").write_bytes(b"weights")
    (project.root / "data/.stored/shard").mkdir(parents=True)
    (project.root / "data/.stored/shard/0").write_bytes(odd(1))
    second, third = [one["recorded"]["model"] for one in json.loads(project.run(*CALL, "log", "--json").out)][1::-1]
    before = state(project)
    names = ("digit 0/odd 1.bmp", told.packed)
    dry = project.run(*CALL, "forget", "--dry-run", *names).out
    assert state(project) == before
    for line in (
        "delete   data/raw/digit 0/copy.bmp",
        "delete   data/raw/digit 0/odd 1.bmp",
        "delete   data/raw/more.zip!/digit 0/odd.bmp",
        "delete   data/model",
        "delete   data/base",
        "delete   data/export",
        "delete   data/.decoded",
        f"delete   unfinished work in {remote}/progress/train",
        "delete   data/.stored",
        "(data/raw/more.zip) in cache, remote 'team'",
        "(data/raw: the file itself) in cache, remote 'team'",
        f"(checkpoint.ckpt of model {second[:8]}) in cache, remote 'team'",
        f"(checkpoint.ckpt of model {third[:8]}) in cache, remote 'team'",
        "unusable generation 2 (",
        "unusable generation 3 (",
    ):
        assert line in dry
    assert "generation 1" not in dry
    refused = subprocess.run(
        [sys.executable, "-m", "pipeline", "forget", *names], cwd=project.root, input=b"y\n", check=False
    )
    assert refused.returncode == 1
    assert state(project) == before

    out = project.run(*CALL, "forget", "--yes", *names).out
    assert "forgotten: 2 images; no file here, in the cache and on the remotes holds it any more" in out
    assert left(told, remote) == []
    assert not list(remote.rglob("*.ckpt"))
    assert odd(3) in (project.root / "data/raw/more.zip").read_bytes()
    for oid in (second, third):
        there = {"checkpoint.ckpt": False, "curves.csv": True, "lineage.json": True, "seen.npz": True}
        assert listed_on(remote, oid) == there
    # Their replacements were written before they were deleted.
    for oid in (
        *(read_raw_hash(project.root / path) for path in (paths.RAW_DVC, paths.SHARDS_DVC)),
        project.lock()["ingest"]["outs"]["data/images"],
    ):
        assert all(listed_on(remote, oid).values())

    status = project.run(*CALL, "status").out
    assert "would stop" not in status
    said = project.repro()
    assert f"base {json.loads(project.read('data/model/lineage.json'))['base'][:8]}" in said
    assert json.loads(project.read("data/model/lineage.json"))["generation"] == 2
    project.commit("forget")
    project.dvc("push", "--quiet")
    assert left(told, remote) == []
    assert "nothing is left to delete" in project.run(*CALL, "forget").out
    log = project.run(*CALL, "log").out
    assert log.count("forgotten") == 2
    traced = project.run(*CALL, "trace", told.loose).out
    assert "2 of 4 generations have seen it" in traced
    replayed = project.run(*CALL, "replay", "--all", ok=None).out
    assert replayed.count(" not replayed: forgotten") == 2
    assert "2 of 2 generations reproduced, bit for bit; 2 are forgotten" in replayed
    clone = project.clone(tmp_path / "clone")
    clone.dvc("pull", "--quiet")
    assert "up to date" in clone.run(*CALL, "status").out
    assert files_with(odd(1), clone.root) == []


def test_kills(told: Told, tmp_path: Path) -> None:
    """After a kill at any step the same command completes."""
    share(Project(told.root), tmp_path / "remote")
    steps = (
        "noting",
        "taking",
        "writing",
        "pushing",
        "deleting what",
        "deleting from the remote",
        "deleting from the cache",
    )
    for number, step in enumerate(steps):
        here = told._replace(root=tmp_path / f"{number}/project")
        shutil.copytree(told.root, here.root, symlinks=True)
        remote = tmp_path / f"{number}/remote"
        shutil.copytree(tmp_path / "remote", remote)
        project = Project(here.root)
        project.dvc("remote", "modify", "team", "url", str(remote))
        names = ("digit 0/odd 1.bmp", told.packed)
        call = [sys.executable, "-m", "pipeline", "forget", "--yes", *names]
        streams: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        with subprocess.Popen(call, cwd=project.root, **streams) as child:
            assert child.stdout is not None
            for line in child.stdout:
                if line.startswith(f"forget: {step}"):
                    time.sleep(0.02 * number)
                    child.send_signal(signal.SIGKILL)
                    break
            else:
                pytest.fail(f"it never came to {step!r}")
        # A child of the killed process may still run.
        while "is running; wait" in (out := project.run(*CALL, "forget", "--yes", *names, ok=None).out):
            time.sleep(0.5)
        assert "forgotten: 2 images" in out or "nothing is left" in out, f"after {step}: {out}"
        assert left(here, remote) == [], step
        assert not list((here.root / "data/.progress/forgetting").glob("*"))
        shutil.rmtree(here.root.parent)


@pytest.mark.nightly
def test_other_clones(told: Told, tmp_path: Path) -> None:
    """A clone that still has the image does not restore it by a merge or by hand; `pipeline forget` cleans it up."""
    project, remote = Project(told.root), tmp_path / "remote"
    share(project, remote)
    other = project.clone(tmp_path / "clone")
    other.dvc("pull", "--quiet")
    other.run(*CALL, "setup")
    project.run(*CALL, "forget", "--yes", told.loose)
    project.commit("forget")

    other.add_digits(75, 80)
    other.repro("ingest")
    other.commit("goes on with it")
    other.git("pull", "--quiet", "--no-rebase", "--no-edit")
    assert not list((other.root / "data/raw").rglob("odd 1.bmp"))
    put(other, 1)
    out = other.repro("manifest")
    assert "refused: 1 forgotten (digit 0/odd 1.bmp)" in out
    assert told.loose not in "".join(other.read(f"data/manifest/{name}.csv") for name in ("train", "val", "test"))
    assert json.loads(other.read("data/base/lineage.json"))["generation"] == 1
    other.commit("merged")
    assert files_with(odd(1), other.root)
    assert "forgotten: 1 image" in other.run(*CALL, "forget", "--yes").out
    assert files_with(odd(1), other.root, remote) == []
    assert files_with(told.contents[2], other.root, remote) == []


@pytest.mark.nightly
@pytest.mark.parametrize("kind", KINDS)
def test_remotes(told: Told, tmp_path: Path, kind: type[Server]) -> None:
    """A remote that is down stops the command before any change; later nothing of the image is left on it."""
    project = Project(told.root)
    (tmp_path / "server").mkdir()
    server = kind(tmp_path / "server")
    with server:
        server.configure(project)
        project.commit("a remote")
        project.dvc("push", "--quiet")
        server.stop()
        before = state(project)
        out = project.run(*CALL, "forget", "--yes", told.loose, ok=False).out
        assert "pipeline: error: remote 'team': " in out
        assert "make it reachable, or remove it from .dvc/config" in out
        assert state(project) == before
        server.start()
        project.run(*CALL, "forget", "--yes", told.loose)
        assert "nothing is left to delete" in project.run(*CALL, "forget").out
        project.repro()
        project.commit("forget")
        project.dvc("push", "--quiet")
        if isinstance(server, SharedFolder):
            assert left(told._replace(contents=told.contents[::2]), server.folder) == []
        with pytest.raises((FileNotFoundError, AttributeError, KeyError)):
            server.take(told.loose)
        assert server.take(project.lock()["train"]["outs"]["data/model"])


def test_slips(told: Told) -> None:
    """An id that nothing contains, or a name, is an error, and is not recorded."""
    project = Project(told.root)
    assert "nothing holds such an image" in project.run(*CALL, "forget", "--yes", "0" * 32, ok=False).out
    assert "nothing in it is called 'cat/1.png'" in project.run(*CALL, "forget", "--yes", "cat/1.png", ok=False).out
    assert project.read("data/forgotten.csv") == "what,hash\n"
