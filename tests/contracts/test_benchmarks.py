"""Every benchmark runs; its figures are meaningful only on an otherwise idle machine."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.nightly]


def run(script: str, *arguments: str) -> list[str]:
    """Return the rows that a benchmark prints."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [line for line in out.splitlines() if line.startswith("| ")]


@pytest.mark.parametrize(
    ("script", "names"),
    [
        ("ingest.py", ["rate", "ray", "memory", "loose", "archives", "idle"]),
        ("loading.py", ["small", "photos", "jump"]),
        ("remote.py", ["first", "beyond", "peers", "bytes", "adding"]),
        ("training.py", ["step", "save"]),
        ("gpu.py", ["speed", "ways", "folding", "same", "timm"]),
        ("new_classes.py", ["classes"]),
        ("evaluate.py", ["small", "large", "alone"]),
        ("suspects.py", ["labels", "drift"]),
        ("team.py", ["log", "status"]),
        ("next.py", ["few", "rate"]),
        ("augmentation.py", ["brings", "downscaling"]),
        ("fine_tuning.py", ["features", "vit"]),
    ],
)
def test_quick_form(script: str, names: list[str]) -> None:
    """Each benchmark prints rows that state how they were measured."""
    rows = run(script, "--quick", *names)
    assert {row.split("`")[-2] for row in rows} == {f"{script} {name}" for name in names}


def test_cost_of_many_images(tmp_path: Path) -> None:
    """The stages run on a synthetic thousand images, and their costs are plotted."""
    table, picture = tmp_path / "scale.csv", tmp_path / "scale.svg"
    names = {row.split("`")[-2] for row in run("scale.py", "--quick", "--csv", str(table))}
    assert names == {"scale.py manifest", "scale.py archived", "scale.py loose"}
    assert len(table.read_text().splitlines()) == 1 + 1 + 3 + 3
    subprocess.run([sys.executable, str(ROOT / "benchmarks/plot_scale.py"), str(table), str(picture)], check=True)
    assert "manifest" in picture.read_text()


def test_study_of_accuracy(tmp_path: Path) -> None:
    """The study has a row for each way of training, resumes after an interruption, and is plotted."""
    table, picture = tmp_path / "accuracy.csv", tmp_path / "accuracy.svg"
    study = ("accuracy.py", "digits", "--quick", "--seeds", "1", "--csv", str(table), "--generations", "3")
    run(*study)
    lines = table.read_text().splitlines()
    names = {row.split(" | ")[0] for row in run(*study, "--also", "batch_size=32", "--peers")}
    anchors = {"from scratch", "from scratch, with a schedule", "the first model", "the first model, with a schedule"}
    chains = {"passes 11", "batch_size=32", "moving average", "decayed branch"}
    assert names == {f"| digits: {row}" for row in anchors} | {f"| digits: 3 generations, {row}" for row in chains}
    assert table.read_text().splitlines()[: len(lines)] == lines
    assert len(table.read_text().splitlines()) == 1 + len(anchors) + len(chains)
    subprocess.run([sys.executable, str(ROOT / "benchmarks/plot.py"), str(table), str(picture)], check=True)
    assert "from scratch" in picture.read_text()
