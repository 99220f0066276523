"""A folder on every kind of remote: uploads are atomic, and DVC ignores it."""

import time
from pathlib import Path

import pytest
from conftest import Project
from support.servers import KINDS, S3, Server, SharedFolder, Ssh

from pipeline.errors import ParamError
from pipeline.handover.remote_folder import PART, RemoteFolder, open_folder
from pipeline.versioning.repository import _repository

PUT = "import sys; from pathlib import Path; from pipeline.handover.remote_folder import *; "


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Make a DVC repository with a file the working directory."""
    project = Project(tmp_path / "project")
    project.root.mkdir()
    project.git("init", "--quiet")
    project.dvc("init", "--quiet")
    (project.root / "file").write_text("data")
    monkeypatch.chdir(project.root)
    _repository.cache_clear()
    return project


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Server:
    """Return an empty remote of each kind, not started."""
    (tmp_path / "server").mkdir()
    kind: type[Server] = request.param
    return kind(tmp_path / "server")


def beside(server: Server) -> str:
    """Return the URL of a folder next to the remote."""
    if isinstance(server, S3):
        return f"s3://{server.bucket}/elsewhere"
    if isinstance(server, Ssh):
        return f"ssh://127.0.0.1:{server.port}{server.folder}/elsewhere"
    (server.folder / "elsewhere").mkdir(exist_ok=True)
    return str(server.folder / "elsewhere")


def test_files_come_and_go(project: Project, server: Server) -> None:
    """Files work on the default remote, where `dvc gc` ignores them, and at a URL with the remote's options."""
    server.configure(project)
    project.dvc("add", "--quiet", "file")
    file = Path("state")
    file.write_bytes(bytes(range(256)) * 4096)
    with server:
        project.dvc("push", "--quiet")
        for where in ("remote", beside(server)):
            folder = open_folder(where, "train", "a" * 32)
            folder.prepare()
            assert folder.times() == {}
            folder.put(file, "one.ckpt")
            folder.write("lease", b"mine")
            again = open_folder(where, "train", "a" * 32)
            assert again.times().keys() == {"one.ckpt", "lease"}
            assert abs((again.times()["lease"] or 0) - time.time()) < 100
            assert again.read("lease") == b"mine"
            again.fetch("one.ckpt", Path("fetched"))
            assert Path("fetched").read_bytes() == file.read_bytes()
            if where == "remote":
                said = project.dvc("gc", "--workspace", "--cloud", "--force").out
                assert "No unused" in said or "removed 0" in said.lower(), said
                Path("fetched").unlink()
                assert "in sync" in project.dvc("status", "--cloud").out
            folder.delete("lease")
            folder.delete("lease")
            assert list(again.times()) == ["one.ckpt"]
            folder.remove()
            folder.remove()
            assert not again.exists()
            assert again.times() == {}


def test_half_an_upload_has_another_name(project: Project, tmp_path: Path) -> None:
    """If partial files are visible, they have another name."""
    del project
    seen: list[str] = []

    class Watching(RemoteFolder):
        def _at(self, name: str) -> str:
            seen.append(name)
            return super()._at(name)

    from dvc_objects.fs.local import localfs

    folder = Watching(localfs, str(tmp_path))
    folder.put(Path("file"), "one")
    assert seen == ["one" + PART, "one"]
    assert (tmp_path / "one").read_text() == "data"


def test_disk_that_is_not_mounted(project: Project, tmp_path: Path) -> None:
    """If a disk is not mounted, no folder is created in its place."""
    server = SharedFolder(tmp_path)
    server.configure(project)
    for where in ("remote", f"{tmp_path}/nowhere"):
        with pytest.raises(FileNotFoundError, match=r"no such folder .*; make it, or mount it"):
            open_folder(where, "train").prepare()
    assert not (tmp_path / "remote").exists()


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("remote", "compute.progress is remote, but there is no default remote; run `dvc remote add -d NAME URL`"),
        ("remote://team/x", "compute.progress is remote://team/x, which DVC cannot open: .*team"),
        (
            "nosuch://host/x",
            "compute.progress is nosuch://host/x, which DVC cannot open: .*; correct it, or set it to off",
        ),
    ],
)
def test_places_that_there_are_not(project: Project, where: str, said: str) -> None:
    """An invalid place is a one-line error with a hint."""
    del project
    with pytest.raises(ParamError, match=f"^params.yaml: {said}"):
        open_folder(where)


def test_paths(project: Project, tmp_path: Path) -> None:
    """A folder may be given in several forms."""
    SharedFolder(tmp_path).configure(project)
    (tmp_path / "remote").mkdir()
    for where in (f"{tmp_path}/remote/x", f"file://{tmp_path}/remote/x", "remote://team/x", "../remote/x"):
        (tmp_path / "remote/x").mkdir(exist_ok=True)
        folder = open_folder(where, "train")
        folder.prepare()
        folder.write("a", b"b")
        assert (tmp_path / "remote/x/train/a").exists()
        (tmp_path / "remote/x/train/a").unlink()
