"""A release is made from what is committed on main, or not at all."""

import re
import sys
from pathlib import Path

import pytest
from conftest import Project
from support.publishing import run

SCRIPT = ".github/release.sh"
pytestmark = [pytest.mark.slow, pytest.mark.nightly]


@pytest.fixture
def project(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return this code on a branch called main."""
    (project.root / ".venv").symlink_to(Path(sys.prefix))
    (tmp_path / "for 'now'").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "for 'now'"))
    return project


def release(project: Project, version: str, *, ok: bool = True) -> str:
    """Make a release."""
    return run(SCRIPT, version, folder=project.root, ok=ok)


def test_release(project: Project) -> None:
    """The version is raised everywhere, the changelog is dated, and there is one commit, a tag and a working wheel."""
    out = release(project, "0.2.0")
    assert "dist/treering-0.2.0-py3-none-any.whl" in out
    assert sorted(path.suffix for path in (project.root / "dist").iterdir()) == ["", ".gz", ".whl"]
    assert project.git("status", "--porcelain") == ""
    assert project.git("log", "-1", "--format=%s").strip() == "Release 0.2.0"
    assert project.git("cat-file", "-t", "v0.2.0").strip() == "tag"
    changed = project.git("show", "--format=", "--name-only", "v0.2.0^{commit}").split()
    assert sorted(changed) == ["CHANGELOG.md", "CITATION.cff", "pipeline/cli.py", "pyproject.toml"]
    assert re.search(
        r"^## \[Unreleased\]\n\n## \[0\.2\.0\] - \d{4}-\d\d-\d\d\n\n", project.read("CHANGELOG.md"), re.MULTILINE
    )
    assert "v0.2.0 is there already" in release(project, "0.2.0", ok=False)
    assert "CHANGELOG.md has nothing under [Unreleased]" in release(project, "0.3.0", ok=False)


def test_projects_are_made_with_a_wheel(project: Project, tmp_path: Path) -> None:
    """A wheel makes the same projects as a clone, and they record its release."""
    release(project, "0.2.0")
    installed = tmp_path / "installed"
    run(
        "uv",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(installed),
        *map(str, (project.root / "dist").glob("*.whl")),
    )
    made = {}
    for code in (installed, project.root):
        folder = tmp_path / "made by" / code.name
        command = "import sys; sys.path.insert(0, sys.argv.pop(1)); from pipeline import cli; cli.main()"
        run(sys.executable, "-c", command, str(code), "init", str(folder), "--name", "own", folder=tmp_path)
        names = run("git", "ls-files", "--cached", "--others", "--exclude-standard", folder=folder).splitlines()
        made[code] = {name: (folder / name).read_bytes() for name in names}
    assert made[installed] == made[project.root]
    assert project.git("rev-parse", "v0.2.0^{commit}").strip() in made[installed]["treering.json"].decode()


def test_what_is_not_ready(project: Project) -> None:
    """An invalid version, uncommitted changes, and another branch are errors, and nothing changes."""
    head = project.git("rev-parse", "HEAD")
    assert release(project, "later", ok=False) == "release: give a version: make release VERSION=0.2.0\n"
    (project.root / "README.md").write_text("Changed.\n")
    assert "uncommitted changes" in release(project, "0.2.0", ok=False)
    project.git("checkout", "--quiet", "README.md")
    project.git("switch", "--quiet", "--create", "other")
    assert "not on main" in release(project, "0.2.0", ok=False)
    assert project.git("rev-parse", "HEAD") == head
    assert project.git("tag") == ""


def test_wheel_that_does_not_work(project: Project) -> None:
    """If the wheel does not work, nothing is committed or tagged."""
    text = project.read("pipeline/cli.py")
    (project.root / "pipeline/cli.py").write_text(text.replace('version=f"treering {VERSION}"', 'version="treering"'))
    project.commit("a mistake")
    assert "the wheel is not 0.2.0" in release(project, "0.2.0", ok=False)
    assert project.git("log", "-1", "--format=%s").strip() == "a mistake"
    assert project.git("tag") == ""
