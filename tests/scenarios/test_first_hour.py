"""README.md, played from top to bottom in a fresh clone: what a new user types, and sees."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, Project
from support.terminal import Terminal

pytestmark = [pytest.mark.slow, pytest.mark.nightly]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WIDEST = 120


def blocks() -> list[str]:
    """What README.md says to type from the quick start on, block by block; of transcripts the commands."""
    found = []
    for kind, block in re.findall(
        r"```(sh|console)\n(.*?)```", README[README.index("## Quick start") :], flags=re.DOTALL
    ):
        commands = [line[2:] for line in block.splitlines() if line.startswith("$ ")] if kind == "console" else [block]
        found.append("\n".join(commands))
    return found


def play(clone: Project, script: str) -> list[str]:
    """Type `script` in a terminal; returns the lines that are seen."""
    with Terminal() as terminal:
        shell = terminal.start("bash", "-ec", script, folder=clone.root)
        assert shell.wait(600) == 0, terminal.text[-3000:]
        return terminal.lines


def test_readme(tmp_path: Path) -> None:
    """In a folder with a blank and an umlaut each block does what it says, and leaves nothing for Git to ask about."""
    clone = Project(tmp_path / "Zwölf Bilder")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone.root)], check=True)
    # What takes gigabytes is there already; that it can be set up is what CI itself shows.
    (clone.root / ".venv").symlink_to(Path(sys.prefix))
    # The reader's own images.
    with zipfile.ZipFile(ROOT / "data/sample/2-more.zip") as archive:
        names = [name for name in archive.namelist() if name.startswith("Coat/")][:4]
        archive.extractall(clone.root / "photos", names)
        (clone.root / "new.zip").write_bytes((ROOT / "data/sample/3-new-classes.zip").read_bytes())
    (clone.root / ".git/info/exclude").write_text("photos\nnew.zip\n")
    seen = []
    for block in blocks():
        script = block.replace("make ", "make --old-file=.venv/ready ")
        # A reader ends it by ^C.
        ended = r"timeout --foreground --signal INT 20 \1 || test $? = 124"
        lines = play(clone, re.sub(r"^(pipeline serve)[^\n]*", ended, script, flags=re.MULTILINE))
        seen += lines
        assert max(map(len, lines)) <= WIDEST, max(lines, key=len)
        assert clone.git("status", "--porcelain") == "", block
    text = "\n".join(seen)
    assert "train: cold start" in text
    assert "3,000 decoded" in text
    assert "train: warm start from" in text
    assert re.search(r"^data/report/metrics.json +accuracy +[\d.]+ +[\d.]+ +-?[\d.]+", text, flags=re.MULTILINE)
    assert "exported data/export/model.onnx" in text
    assert "^C ends it\npipeline: ended" in text
