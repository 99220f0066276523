"""docs/serving.ipynb runs, and its stored outputs match."""

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copy
from typing import Any
from zipfile import ZipFile

import pytest
from conftest import ROOT
from support.drawn import save_drawn, set_params

from pipeline import paths

SAMPLE = ROOT / "data/sample/2-more.zip"
# Maximum number of lines of the first code cell.
FIVE = 5


def codes(folder: Path) -> list[dict[str, Any]]:
    """Return the code cells of the notebook in `folder`."""
    cells = json.loads((folder / "docs/serving.ipynb").read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def shape(cell: dict[str, Any]) -> list[tuple[str, int]]:
    """Return the kinds of a cell's outputs and their numbers of lines, without figures, which depend on the model."""
    parts = [{"stdout": out["text"]} if "text" in out else out["data"] for out in cell["outputs"]]
    return [(kind, len(lines)) for part in parts for kind, lines in part.items()]


@pytest.mark.slow
def test_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All cells run in order in a project with the sample's classes, and give outputs like the stored ones."""
    monkeypatch.chdir(tmp_path)
    set_params()
    for name in ("docs/notebook.py", "docs/serving.ipynb", "data/sample/2-more.zip", "dvc.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, tmp_path / name)
    with ZipFile(SAMPLE) as archive:
        classes = tuple(sorted({name.split("/")[0] for name in archive.namelist()}))
    save_drawn(paths.MODEL, size=28, classes=classes)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "docs/notebook.py"], env=env, check=True)
    stored, ran = codes(ROOT), codes(tmp_path)
    assert [cell["source"] for cell in ran] == [cell["source"] for cell in stored]
    assert [shape(cell) for cell in ran] == [shape(cell) for cell in stored]
    assert ran[-1]["outputs"][-1]["data"]["text/plain"] == ["True"]
    assert all(cell["outputs"] for cell in stored)
    assert len(stored[0]["source"]) <= FIVE
