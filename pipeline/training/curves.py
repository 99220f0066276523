"""Learning curves: what was measured by step, over all generations, and no more of it than can be drawn.

A model's own lie next to it, so the next generation finds them in data/base. They are in data/curves too, a file each,
where `dvc plots` reads them; also while training runs.
"""

import csv
import math
from pathlib import Path

from pipeline.errors import CheckpointError
from pipeline.files import write_text
from pipeline.text import csv_text

CURVES = "curves.csv"
TRAINING_LOSS, RATE, ACCURACY, LOSS = CURVE_NAMES = ("loss", "lr", "val_accuracy", "val_loss")
# Most points of a curve: as many as a screen shows, and 100 kB a model.
LIMIT = 1000
HEADER = ["curve", "step", "value"]

CurvePoint = tuple[int, float]
CurvePoints = dict[str, list[CurvePoint]]


class Curves:
    """The points of each curve, in the order of their steps, which are counted over all generations."""

    def __init__(self, points: CurvePoints | None = None) -> None:
        self.points = {name: list((points or {}).get(name, [])) for name in CURVE_NAMES}

    def add(self, name: str, step: int, value: float) -> None:
        """Let the curve `name` go on to `step`, with six digits of `value`; a value that is not finite has no point."""
        if math.isfinite(value):
            self.points[name].append((step, float(f"{value:.6g}")))
            thin(self.points[name], LIMIT)


def thin(points: list[CurvePoint], limit: int) -> None:
    """Remove points until `limit` are left: those that leave the smallest gaps, of them the oldest, never an end.

    Whatever comes one by one is thinned to the same points, interrupted or not. A gap that this makes is at most
    2 / (limit − 1) of the whole: the gaps around all inner points sum to less than twice that, and the smallest goes.
    """
    while len(points) > limit:
        del points[min(range(1, len(points) - 1), key=lambda place: points[place + 1][0] - points[place - 1][0])]


def read_curves(model: Path) -> Curves:
    """The curves that led to the model in the folder `model`; empty ones of a model that has none, or curves unknown.

    Raises:
        CheckpointError: the file is not one of ours.
    """
    path = model / CURVES
    points: CurvePoints = {name: [] for name in CURVE_NAMES}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, strict=True):
                if row["curve"] in points:
                    points[row["curve"]].append((int(row["step"]), float(row["value"])))
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError, csv.Error):
        raise CheckpointError(path, "holds no learning curves", "run `dvc checkout`") from None
    return Curves(points)


def write_curves(curves: Curves, model: Path) -> None:
    """Write `curves` into the folder `model`."""
    rows = [(name, step, value) for name, points in curves.points.items() for step, value in points]
    (model / CURVES).write_text(csv_text([HEADER, *rows]), encoding="utf-8")


def show_curves(curves: Curves, folder: Path) -> None:
    """Let `folder` hold a file for each curve that has points, and nothing else. Each is whole at any time."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = {f"{name}.csv": csv_text([["step", name], *points]) for name, points in curves.points.items() if points}
    for path in folder.iterdir():
        if path.name not in shown:
            path.unlink()
    for name, text in shown.items():
        write_text(folder / name, text)
