"""README.md says what is so."""

import re
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, Project

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_is_short() -> None:
    """It can be read in one sitting."""
    assert len(README.splitlines()) < 250


@pytest.mark.slow
def test_quick_start_works(tmp_path: Path) -> None:
    """Its commands, typed one after the other in a fresh clone, do what it says."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(tmp_path / "clone")], check=True)
    clone = Project(tmp_path / "clone")
    # What takes gigabytes is there already; that it can be set up is what CI itself shows.
    (clone.root / ".venv").symlink_to(ROOT / ".venv")
    typed = "\n".join(re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL))
    out = clone.run("bash", "-ec", typed.replace("make ", "make --old-file=.venv/ready ")).out
    assert "cold start" in out
    assert "3,000 decoded" in out
    assert "train: warm start from" in out
    assert "Change" in out
    assert clone.git("status", "--porcelain") == ""
