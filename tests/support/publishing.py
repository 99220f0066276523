"""The packages for building the site and a release, installed separately from the other packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PUBLISH = ROOT / ".venv/publish"


def run(*command: str, folder: Path = ROOT, ok: bool = True) -> str:
    """Run `command`, which may use these packages, and return its output."""
    path = os.pathsep.join(filter(None, [str(PUBLISH), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "PYTHONPATH": path, "NO_MKDOCS_2_WARNING": "1"}
    if subprocess.run([sys.executable, "-c", "import mkdocs"], env=env, capture_output=True, check=False).returncode:
        pytest.skip("mkdocs is not in .venv/publish; `make check` puts it there")
    ran = subprocess.run(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert (ran.returncode == 0) == ok, ran.stdout
    return ran.stdout
