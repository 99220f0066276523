"""`pipeline init` makes a user's own project, and upgrades it to a newer release."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT, Project, copy_checkout, save_png
from sklearn.datasets import load_digits
from support.kills import kill_before

from pipeline import cli

Capture = pytest.CaptureFixture[str]


def git(folder: Path, *arguments: str) -> str:
    """Run Git in `folder`, and return its output."""
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Make a repository of the code with a release."""
    folder = tmp_path / "source"
    folder.mkdir()
    copy_checkout(folder)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "a release")
    return folder


def run(folder: Path, *arguments: str, code: Path = ROOT, ok: bool = True) -> str:
    """Run `python -m pipeline` with the code in `code`, unless `folder` has its own; return the output."""
    command, env = [sys.executable, "-m", "pipeline", *arguments], {**os.environ, "PYTHONPATH": str(code)}
    ran = subprocess.run(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert (ran.returncode == 0) == ok, ran.stdout
    return ran.stdout


def test_what_is_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """No file is overwritten, lists get missing lines, and no files of this repository's own are copied."""
    folder = tmp_path / "Käfer und 'x'"
    (folder / "data/raw/a").mkdir(parents=True)
    for name in ("README.md", ".gitignore", "data/raw/a/1.png"):
        (folder / name).write_text("mine")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", folder.name]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1:] == ["kept as it was: README.md", "next: cd 'Käfer und '\"'\"'x'\"'\"'' && dvc repro"]
    assert (folder / "README.md").read_text() == (folder / "data/raw/a/1.png").read_text() == "mine"
    assert (folder / ".gitignore").read_text("utf-8").startswith("mine\n.venv\n__pycache__\n")
    made, ours = (tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"] for root in (folder, ROOT))
    assert made["name"] == "k-fer-und-x"
    assert made["optional-dependencies"] == ours["optional-dependencies"]
    make = ["make", "--dry-run", "--always-make", "--no-print-directory"]
    for choice in ("TORCH=cpu", "EXTRAS=s3"):
        commands = [subprocess.check_output([*make, "-C", str(root), "setup", choice]) for root in (folder, ROOT)]
        assert commands[0] == commands[1]


@pytest.mark.slow
def test_a_kill_at_any_moment(tmp_path: Path) -> None:
    """After a kill at any moment the same command completes the project; nothing is written elsewhere."""
    folders = [tmp_path / name / "own" for name in ("undisturbed", "killed")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "README.md").write_text("mine")
    for moment in ("git", "own/pipeline/cli.py", "params.yaml", "Makefile", "'dvc'", ".dvc/config", "'pipeline'"):
        assert kill_before(moment.replace("own/", ""), "init", "own", folder=folders[1].parent)
    said = [run(folder.parent, "init", "own") for folder in folders]
    assert said[0].replace("undisturbed", "killed") == said[1]
    assert "\nkept as it was: README.md\nnext: " in said[1]
    files = [
        {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        for folder in (folder.parent for folder in folders)
    ]
    files = [
        {path: file for path, file in each.items() if not {".git", "tmp", "__pycache__"} & {*path.parts}}
        for each in files
    ]
    assert files[0] == files[1]
    assert {path.parts[0] for path in files[1]} == {"own"}
    assert "is a project already" in run(tmp_path / "killed", "init", "own", ok=False)


def test_what_is_written_after_a_kill_stays(tmp_path: Path) -> None:
    """Files written after a kill are kept and reported, like files that existed before."""
    assert kill_before("'pipeline'", "init", "own", folder=tmp_path)
    for name in ("README.md", "params.yaml"):
        with (tmp_path / "own" / name).open("a") as file:
            file.write("# mine\n")
    said = run(tmp_path, "init", "own")
    assert "kept as it was: params.yaml\nkept as it was: README.md\n" in said
    for name in ("README.md", "params.yaml"):
        assert (tmp_path / "own" / name).read_text().endswith("# mine\n")


@pytest.mark.slow
def test_first_images(tmp_path: Path) -> None:
    """The result for the first images is reported; if none is usable, or some are missing, the project is complete."""
    save_png(load_digits().images[0] * 15, tmp_path / "1.png")
    (tmp_path / "photos/a").mkdir(parents=True)
    (tmp_path / "photos/a/2.png").write_text("no image")
    assert "nowhere: no such file or folder; check the path" in run(
        tmp_path, "init", "own", "--images", "nowhere", ok=False
    )
    assert not (tmp_path / "own").exists()
    out = run(tmp_path, "init", "own", "--images", "1.png", "photos", ok=False)
    assert "  1 no class folder: put it into a folder named after its class" in out
    assert "    ../photos/a/2.png\n" in out
    assert "next: put a folder of images for each class into data/raw, then cd own && dvc repro\n" in out
    assert out.endswith("pipeline: error: ../1.png: no usable image in it; see the reasons above\n")
    assert "own: is a project already; run `pipeline add PATH` in it" in run(tmp_path, "init", "own", ok=False)
    said = run(tmp_path / "own", "add", "../1.png", "--label", "nought")
    assert said.endswith("0 known already, 0 copies, 0 refused\nnext: dvc repro\n")


@pytest.mark.slow
@pytest.mark.nightly
def test_two_commands_train_a_model(tmp_path: Path) -> None:
    """`pipeline init && dvc repro` train from a folder of images; Git tracks its own files, and ignores the others."""
    data = load_digits()
    for number in range(60):
        path = tmp_path / "photos" / f"digit {data.target[number] % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(data.images[number] * 15, path)
    out = run(tmp_path, "init", "own", "--name", "Digits", "--images", "photos")
    assert re.search(
        r"\nadded 60 images as data/raw/added-\w+.zip; 0 known already, .*\nnext: cd own && dvc repro\n$", out
    )
    project = Project(tmp_path / "own")
    assert project.read("README.md").startswith("# Digits\n")
    assert "train: cold start" in project.repro()
    project.commit()
    assert project.git("status", "--porcelain") == ""
    assert json.loads(project.read("data/report/lineage.json"))["generation"] == 1
    assert "up to date" in run(project.root, "status")


@pytest.mark.slow
def test_upgrade(source: Path, tmp_path: Path) -> None:
    """An upgrade merges the changes since the project's release, reports conflicts, and continues after them."""
    run(tmp_path, "init", "own", code=source)
    project, record = Project(tmp_path / "own"), tmp_path / "own/treering.json"
    first = git(source, "rev-parse", "HEAD")
    assert json.loads(record.read_text()) == {"source": str(source), "commit": first}
    project.set_params(train={"lr": 0.5})
    (project.root / "docs/team.md").unlink()
    assert "has changes that are not committed" in run(project.root, "upgrade", "--fetch", ok=False)
    project.commit()
    assert f"release {first[:7]} is the newest of {source}" in run(project.root, "upgrade", "--fetch")
    assert "nowhere' does not" in (said := run(project.root, "upgrade", "--fetch", "../nowhere", ok=False))
    assert "name a source of releases" in said

    text = source / "pipeline/text.py"
    text.write_text(text.read_text("utf-8") + "\n# A newer release.\n", "utf-8")
    (source / "docs/team.md").write_text("Newer.\n")
    for name in ("tests/new.py", "docs/tutorials/new.md"):
        (source / name).write_text("\n")
    git(source, "add", "--all")
    git(source, "commit", "--quiet", "--message", "another one")
    out = run(project.root, "upgrade", "--fetch")
    second = git(source, "rev-parse", "HEAD")
    assert out == f"merged: {first[:7]} to {second[:7]} of {source}\nnothing was trained yet\n"
    assert project.read("pipeline/text.py").endswith("# A newer release.\n")
    assert "lr: 0.5" in project.read("params.yaml")
    assert not (project.root / "docs/team.md").exists()
    assert not (project.root / "tests").exists()
    assert not (project.root / "docs/tutorials").exists()
    assert json.loads(record.read_text())["commit"] == second

    project.commit()
    other = (source / "params.yaml").read_text("utf-8").replace("  lr: 1e-2\n", "  lr: 2e-2\n")
    (source / "params.yaml").write_text(other, "utf-8")
    git(source, "commit", "--quiet", "--all", "--message", "a third")
    assert "conflicts left: params.yaml; resolve them" in run(project.root, "upgrade", "--fetch", ok=False)
    assert "<<<<<<< " in project.read("params.yaml")


@pytest.mark.slow
def test_release_that_its_source_lacks(source: Path, tmp_path: Path) -> None:
    """A release that the source lacks, since it was never pushed, is one line, and nothing changes."""
    run(tmp_path, "init", "own", code=source)
    project = Project(tmp_path / "own")
    project.commit()
    first = git(source, "rev-parse", "HEAD")
    git(source, "commit", "--quiet", "--amend", "--message", "the same in another commit")
    out = run(project.root, "upgrade", "--fetch", ok=False)
    what = f"{source}: lacks the release {first[:7]}, which this project was made from"
    assert out == f"pipeline: error: {what}; name a source of releases: `pipeline upgrade --fetch SOURCE`\n"
    assert project.git("status", "--porcelain") == ""
