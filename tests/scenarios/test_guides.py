"""Pages of docs/, run from top to bottom in a suitable project."""

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, Project
from support.blocks import CHANGED, GUIDES, blocks_of, play

pytestmark = [pytest.mark.slow, pytest.mark.nightly]
# Classes in docs/classes.md.
NAMES = ("tabby", "Cat", "kitten", "pet", "blurred")


def prepare(project: Project, page: str) -> None:
    """Prepare the project as the page assumes."""
    if page == "classes":
        for digit, name in enumerate(NAMES):
            (project.root / f"data/raw/digit {digit}").rename(project.root / "data/raw" / name)
    elif page == "next":
        for path in project.add_digits(120, 260, into="../../unlabelled"):
            path.rename(path.parent.parent / path.name)
    elif page == "own-code":
        shutil.copytree(ROOT / "docs/example/my_project", project.root / "my_project")
    elif page == "serving":
        names = ("photo.jpg", "a.jpg", "b.png")
        for path, name in zip(project.add_digits(120, 123, into="../.."), names, strict=True):
            path.rename(project.root / name)


@pytest.fixture(scope="module")
def trained(make_project: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with a model."""
    project = make_project(tmp_path_factory.mktemp("guides") / "project")
    project.add_digits(0, 120)
    return project


@pytest.mark.parametrize("page", GUIDES)
def test_guide(page: str, trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command works as the page describes, and Git shows no changes but in files that the page names."""
    project = Project(tmp_path / "project")
    shutil.copytree(trained.root, project.root)
    prepare(project, page)
    project.dvc("add", "--quiet", "data/raw")
    project.repro()
    project.commit("generation 1")
    # Git's editor for messages.
    monkeypatch.setenv("GIT_EDITOR", "sed -i 1imessage")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    wait = f"until curl --silent 127.0.0.1:{port}/health; do sleep 1; done"
    instead = {
        r"^pip install.*": "true",
        r"^pipeline serve$": f"pipeline serve --port {port} & {wait}",
        r"http://127.0.0.1:8000": f"http://127.0.0.1:{port}",
    }
    blocks = [block for block in blocks_of(ROOT / f"docs/{page}.md") if not block.not_run]
    seen = play(project.root, blocks, instead)
    asked = {line.removeprefix(CHANGED).split()[-1] for line in seen[-1] if line.startswith(CHANGED)}
    assert asked <= {"check.html", "next.html", "all.csv"}
