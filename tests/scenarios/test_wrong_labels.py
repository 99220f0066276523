"""Deliberately wrong labels are found, in a first generation and in a later one: real Git, real DVC."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Project, save_png
from PIL import Image

pytestmark = pytest.mark.slow
FIRST, LAST = 700, 1000
# `status` inspects images for a limited time, which is too short on a busy machine.
LOOK = (
    "from pipeline.commands.status import forecast; from pipeline.cli import main; forecast.LOOK = 60; main(['status'])"
)
REPORT = ("data/report", "dvc.lock")


def rows(path: Path) -> list[dict[str, str]]:
    """Return the lines of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def flip(project: Project, start: int, stop: int) -> set[str]:
    """Put every 25th image of data/raw into the folder of another class, and return their names."""
    names = set()
    for path in sorted((project.root / "data/raw").rglob("*.png")):
        number, label = int(path.stem), int(path.parent.name[-1])
        if start <= number < stop and number % 25 == 3:
            other = path.parent.with_name(f"digit {(label + 1 + number % 9) % 10}")
            path.rename(other / path.name)
            names.add(path.name)
    return names


@pytest.fixture(scope="module")
def trained(make_project: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project of 700 digits, a few of them in wrong folders. Its tests build on each other."""
    project = make_project(tmp_path_factory.mktemp("wrong"))
    project.set_params(train={"epochs": 4, "passes": 6.0})
    project.add_digits(0, FIRST)
    flip(project, 0, FIRST)
    project.dvc("add", "--quiet", "data/raw")
    project.repro()
    project.commit()
    return project


def check(project: Project, split: str) -> tuple[float, float]:
    """Return the precision of the list for `split`, and its recall of the wrong images."""
    wrong = {row["id"] for row in rows(project.root / "data/manifest/review.csv") if is_wrong(row)}
    here = {row["id"] for row in rows(project.root / "data/manifest/review.csv") if row["split"] == split}
    suspects = rows(project.root / "data/report/suspects.csv")
    listed = {row["id"] for row in suspects if row["split"] == split and "contradicted" in row["reason"]}
    return len(listed & wrong) / max(len(listed), 1), len(listed & wrong) / len(here & wrong)


def is_wrong(row: dict[str, str]) -> bool:
    """Whether an image was put into another folder."""
    return int(row["source"][-8:-4]) % 25 == 3


def test_first_generation(trained: Project) -> None:
    """Most wrong training images are listed, most listed ones are wrong, mostly with the right suggestion."""
    precision, recall = check(trained, "train")
    assert precision >= 0.6
    assert recall >= 0.6
    suspects = rows(trained.root / "data/report/suspects.csv")
    scores = [float(row["score"]) for row in suspects]
    assert scores == sorted(scores, reverse=True)


def test_again_by_force(trained: Project) -> None:
    """A forced run changes no byte."""
    before = trained.snapshot(*REPORT)
    trained.repro("--force", "--single-item", "evaluate")
    assert trained.snapshot(*REPORT) == before


def test_command(trained: Project) -> None:
    """The command ranks all training images into a file, and changes no file of the project."""
    before = trained.snapshot("data")
    out = trained.run("python", "-m", "pipeline", "suspects", "--csv", "../list.csv").out
    told = json.loads(trained.run("python", "-m", "pipeline", "suspects", "--json").out)
    assert f"among {told['images']:,} training images" in out
    listed = rows(trained.root / "../list.csv")
    assert [row["id"] for row in told["suspects"]] == [row["id"] for row in listed]
    assert out.splitlines()[
        -1
    ] == f"{len(listed)} suspects among 700 training images; all of them are in ../list.csv".replace(
        "700", str(len(trained.ids("train")))
    )
    assert {row["id"] for row in listed} == {
        row["id"] for row in rows(trained.root / "data/report/suspects.csv") if row["split"] == "train"
    }
    assert trained.snapshot("data") == before
    assert "cannot be written" in trained.run("python", "-m", "pipeline", "suspects", "--csv", "no/x.csv", ok=False).out


def test_later_generation(trained: Project) -> None:
    """The base judges only new images, and finds nearly all wrong ones; status and report see no drift."""
    trained.add_digits(FIRST, LAST)
    flip(trained, FIRST, LAST)
    assert "new images" not in trained.run("python", "-c", LOOK).out
    out = trained.repro()
    assert "new images" not in out.partition("evaluate: ")[2]
    reviewed = rows(trained.root / "data/manifest/review.csv")
    assert {int(row["source"][-8:-4]) >= FIRST for row in reviewed if row["split"] == "train"} == {True}
    precision, recall = check(trained, "train")
    assert precision >= 0.5
    assert recall >= 0.7
    trained.commit()


def test_drift_is_told_before_training_and_after(trained: Project) -> None:
    """Images of a camera that gets a third of the light are reported as drift before and after training."""
    for path in trained.add_digits(LAST, LAST + 200):
        save_png(np.asarray(Image.open(path)) // 3, path)
    sentence = "new images are darker than the known ones (mean brightness "
    assert f"note    the 200 {sentence}" in trained.run("python", "-c", LOOK).out
    assert sentence in trained.repro()
    assert sentence in trained.read("data/report/report.html")
