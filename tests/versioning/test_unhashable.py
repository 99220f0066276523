"""Files that make DVC fail or hang are named before, with a hint."""

import os
import subprocess
from pathlib import Path

import pytest
from conftest import Project

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.versioning.unhashable import check_hashable, obstacles

CAFE = b"data/raw/cat/caf\xe9.png"


@pytest.fixture(autouse=True)
def _repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty DVC repository with a folder for images the working directory."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run(["dvc", "init", "--quiet"], check=True)
    (paths.RAW / "cat").mkdir(parents=True)
    (paths.RAW / "cat/1.png").write_bytes(b"1")
    (paths.RAW / "cat/link.png").symlink_to("1.png")
    (paths.RAW / "linked").symlink_to("cat")


def obstruct() -> None:
    """Put a file of each kind into data/raw."""
    (paths.RAW / "cat/broken.png").symlink_to("nowhere")
    (paths.RAW / "cat/[1].png").symlink_to("nowhere")
    os.mkfifo(paths.RAW / "cat/pipe.png")
    Path(os.fsdecode(CAFE)).write_bytes(b"2")


def test_each_kind_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken links, pipes, names that are not UTF-8, and unreadable files are named, and no others."""
    check_hashable()
    assert obstacles() == []
    obstruct()
    named = {os.path.basename(one.path): one.what for one in obstacles()}  # noqa: PTH119
    assert named == {
        "[1].png": "a link to nothing",
        "broken.png": "a link to nothing",
        os.fsdecode(b"caf\xe9.png"): "its name is not UTF-8",
        "pipe.png": "a pipe",
    }
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert {one.what for one in obstacles()} == {*named.values(), "a file that you may not read"}


def test_dvc_passes_over_what_the_hint_says() -> None:
    """With the suggested lines in .dvcignore DVC hashes the rest without errors."""
    obstruct()
    said = r"1]\.png: a link to nothing.*3 more.*: /data/raw/cat/\\\[1\]\.png"
    with pytest.raises(ImagesError, match=said) as error:
        check_hashable()
    assert "\n" not in str(error.value)
    lines = [one.pattern for one in obstacles()]
    assert "/data/raw/cat/caf?.png" in lines
    Path(".dvcignore").write_text("".join(f"{line}\n" for line in lines))
    subprocess.run(["dvc", "add", "--quiet", "data/raw"], check=True, timeout=200)
    assert "nfiles: 2\n" in paths.RAW_DVC.read_text()


def test_status_names_it(project: Project) -> None:
    """`pipeline status` names such a file in one line, and does not hang."""
    project.add_digits(0, 2)
    project.dvc("add", "--quiet", "data/raw")
    os.mkfifo(project.root / "data/raw/pipe.png")
    out = project.run("python", "-m", "pipeline", "status").out
    assert out.startswith("`dvc repro` would stop: data/raw/pipe.png: a pipe, and DVC cannot go on past it; remove it")
    assert len(out.splitlines()) == 1
