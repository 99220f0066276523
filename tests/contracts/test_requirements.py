"""No file determines where packages come from; the installer does."""

import re
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT


@pytest.mark.parametrize("path", sorted(ROOT.glob("requirements*.txt")), ids=lambda path: path.name)
def test_requirements_name_no_index(path: Path) -> None:
    """Requirements are pinned with hashes, and name no package index."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(
        r"https?://|--(extra-)?index-url[ =]|--find-links|--trusted-host", text.replace("--no-emit-index-url", "")
    )
    pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert all(re.match(r"[\w.-]+(\[.*\])?==\S+ ", pin) for pin in pins)
    assert text.count("--hash=sha256:") >= len(pins)


def test_no_file_names_a_package_index() -> None:
    """No tracked file names a package index or contains a password."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
        assert not re.search(r"(index-url|index_url|find-links|INDEX_URL)\W{1,4}https?://", text), name
        assert not re.search(r"https?://[^\s/@\"']+:[^\s/@\"']+@", text), name
