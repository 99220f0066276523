"""Learning curves: measurements by step over all generations, thinned to a limited number of points.

They are stored in the model's folder, so the next generation finds them in data/base. They are also in data/curves, one
file per curve, where `dvc plots` reads them, also while training runs.
"""

import csv
import math
from pathlib import Path

from pipeline.errors import CheckpointError
from pipeline.files import write_text
from pipeline.text import csv_text

CURVES = "curves.csv"
TRAINING_LOSS, RATE, ACCURACY, LOSS = CURVE_NAMES = ("loss", "lr", "val_accuracy", "val_loss")
# Most points per curve: about as many as a screen can show, and about 100 kB per model.
LIMIT = 1000
HEADER = ["curve", "step", "value"]

CurvePoint = tuple[int, float]
CurvePoints = dict[str, list[CurvePoint]]


class Curves:
    """The points of each curve in the order of steps, which are counted over all generations."""

    def __init__(self, points: CurvePoints | None = None) -> None:
        self.points = {name: list((points or {}).get(name, [])) for name in CURVE_NAMES}

    def add(self, name: str, step: int, value: float) -> None:
        """Append a point to the curve `name`, with `value` to six digits; values that are not finite are skipped."""
        if math.isfinite(value):
            self.points[name].append((step, float(f"{value:.6g}")))
            thin(self.points[name], LIMIT)


def thin(points: list[CurvePoint], limit: int) -> None:
    """Remove points until `limit` are left: each time the oldest of those that leave the smallest gap, never an end.

    Points that are added one by one are thinned to the same points, with or without an interruption. Each resulting gap
    is at most 2 / (limit − 1) of the whole range: the gaps around all inner points sum to less than twice the range,
    and the smallest one is chosen.
    """
    while len(points) > limit:
        del points[min(range(1, len(points) - 1), key=lambda place: points[place + 1][0] - points[place - 1][0])]


def read_curves(model: Path) -> Curves:
    """Read the curves of the model in the folder `model`; without a file they are empty, unknown curves are ignored.

    Raises:
        CheckpointError: the file does not contain learning curves.
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
    """Write a file per curve with points into `folder`, atomically, and delete all other files from it."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = {f"{name}.csv": csv_text([["step", name], *points]) for name, points in curves.points.items() if points}
    for path in folder.iterdir():
        if path.name not in shown:
            path.unlink()
    for name, text in shown.items():
        write_text(folder / name, text)
