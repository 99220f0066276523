"""Every benchmark runs; its figures are for a machine that does nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.nightly]


def run(script: str, *arguments: str) -> list[str]:
    """The rows that a benchmark prints."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [line for line in out.splitlines() if line.startswith("| ")]


@pytest.mark.parametrize(
    ("script", "names"),
    [
        ("ingest.py", ["rate", "memory", "loose", "archives", "idle"]),
        ("loading.py", ["small", "photos", "jump"]),
        ("training.py", ["step", "save"]),
        ("evaluate.py", ["small", "large", "alone"]),
        ("team.py", ["log", "status"]),
    ],
)
def test_quick_form(script: str, names: list[str]) -> None:
    """Each benchmark prints a row, or some, which say how they are made."""
    rows = run(script, "--quick", *names)
    assert {row.split("`")[-2] for row in rows} == {f"{script} {name}" for name in names}


def test_million_images_but_few() -> None:
    """The stage runs on an index that is made up."""
    command = [sys.executable, str(ROOT / "benchmarks/manifest_million.py"), "2000"]
    assert "manifest of 2,000 images: " in subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_study_of_accuracy(tmp_path: Path) -> None:
    """It has a row for each way to start, and a picture is made of them."""
    table, picture = tmp_path / "accuracy.csv", tmp_path / "accuracy.svg"
    count = 0
    for chain in ([], ["--chain", "--generations", "1", "3"]):
        rows = run("accuracy.py", "digits", "--quick", "--seeds", "1", "--csv", str(table), *chain)
        names, count = {row.split(" | ")[0] for row in rows}, count + len(rows)
        assert names >= {"| from scratch", "| from scratch, with a schedule", "| 1 generations, full"}
    assert "| 3 generations, shrink_perturb" in names
    assert len(table.read_text().splitlines()) == 1 + count
    subprocess.run([sys.executable, str(ROOT / "benchmarks/plot.py"), str(table), str(picture)], check=True)
    assert "from scratch" in picture.read_text()
