"""A run has each point once, in the order of steps, also after failures."""

import csv
import shutil
from pathlib import Path

import pytest

from pipeline.training.trackers.runs import Known, TrackedRun

pytestmark = [pytest.mark.xdist_group("lightning"), pytest.mark.filterwarnings(r"ignore:::lightning\..*")]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty working directory."""
    monkeypatch.chdir(tmp_path)


def rows(run: TrackedRun) -> list[dict[str, str]]:
    """Return the logged rows without empty cells."""
    with (Path(run.link) / "metrics.csv").open() as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


def test_points_are_logged_once() -> None:
    """Duplicates count once, values of one step are one row, and facts are there from the start."""
    run = TrackedRun("csv", "", "generation-1", None)
    run.tell({"generation": 1, "train.lr": 0.5})
    assert Path("data/logs/csv/generation-1/hparams.yaml").read_text() == "generation: 1\ntrain.lr: 0.5\n"
    run.add([("loss", 2, 0.25), ("loss", 1, 0.5), ("val_accuracy", 2, 1.0)])
    run.flush()
    run.add([("loss", 1, 0.5), ("loss", 2, 0.25), ("loss", 3, 0.125)])
    run.flush()
    run.end("success", {"model": "abc.dir"}, {})
    assert rows(run) == [
        {"step": "1", "loss": "0.5"},
        {"step": "2", "loss": "0.25", "val_accuracy": "1.0"},
        {"step": "3", "loss": "0.125"},
    ]
    assert run.steps == {"loss": 3, "val_accuracy": 2}
    assert "model: abc.dir\n" in Path("data/logs/csv/generation-1/hparams.yaml").read_text()


def test_a_run_goes_on() -> None:
    """A run is continued; one whose file starts again gets all points again."""
    first = TrackedRun("csv", "elsewhere", "one", None)
    first.add([("loss", 1, 0.5)])
    first.flush()
    second = TrackedRun("csv", "elsewhere", "two", Known(first.identity, first.steps))
    second.add([("loss", 1, 0.5), ("loss", 2, 0.25)])
    second.flush()
    assert second.identity == "one"
    assert rows(second) == [{"step": "1", "loss": "0.5"}, {"step": "2", "loss": "0.25"}]
    assert [path.name for path in Path("elsewhere").iterdir()] == ["one"]


def test_what_cannot_be_logged_is_kept() -> None:
    """While its folder is missing logging fails; once it is back, all points are written."""
    run = TrackedRun("csv", "", "one", None)
    run.tell({"generation": 1})
    folder = Path(run.link)
    shutil.move(folder, "aside")
    run.add([("loss", 1, 0.5)])
    with pytest.raises(FileNotFoundError):
        run.flush()
    assert run.is_behind
    shutil.move("aside", folder)
    run.add([("loss", 2, 0.25)])
    run.flush()
    assert not run.is_behind
    assert [row["step"] for row in rows(run)] == ["1", "2"]
