"""The data of the report's charts."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class ChartPoint(NamedTuple):
    """A generation in a chart. `x`, `bar` and `y` are shares of the chart's width or height."""

    x: float
    bar: float
    images: int
    y: float | None
    accuracy: float | None


class HistoryChart(NamedTuple):
    """A chart of the generations, oldest first."""

    low: float
    """The accuracy at the bottom of the chart."""
    high: float
    """The accuracy at the top of the chart."""
    points: list[ChartPoint]


def history(generations: Sequence[tuple[int, float | None]]) -> HistoryChart:
    """Return the chart of `generations`, pairs of the number of images and the accuracy."""
    known = [accuracy for _, accuracy in generations if accuracy is not None]
    low, high = _span(known)
    most = max(images for images, _ in generations) or 1
    return HistoryChart(
        low,
        high,
        [
            ChartPoint(
                (place + 0.5) / len(generations),
                images / most,
                images,
                None if accuracy is None else (accuracy - low) / (high - low),
                accuracy,
            )
            for place, (images, accuracy) in enumerate(generations)
        ],
    )


class CurveLine(NamedTuple):
    """A curve in a chart."""

    name: str
    points: list[tuple[float, float]]
    """Points in shares of the chart's width and height, in the order of the steps."""


class CurveChart(NamedTuple):
    """Learning curves with a common scale, over all steps."""

    title: str
    kind: str
    """The format of its values: `percent` or `number`."""
    low: float
    high: float
    lines: list[CurveLine]


Points = Sequence[tuple[int, float]]


def curves(title: str, kind: str, lines: Mapping[str, Points], steps: int) -> CurveChart | None:
    """Return the chart of `lines`, curves by name, over `steps` steps; None if no curve has points."""
    known = {name: points for name, points in lines.items() if points}
    values = [value for points in known.values() for _, value in points]
    if not values or not steps:
        return None
    low, high = _span(values) if kind == "percent" else (min(0.0, *values), max(values) or 1.0)
    drawn = [
        CurveLine(name, [(min(step / steps, 1.0), (value - low) / (high - low)) for step, value in points])
        for name, points in known.items()
    ]
    return CurveChart(title, kind, low, high, drawn)


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Return a range with round ends, in shares, that encloses `values` with a margin."""
    if not values:
        return 0.0, 1.0
    low, high = math.floor(min(values) * 20 - 0.2) / 20, math.ceil(max(values) * 20 + 0.2) / 20
    return max(0.0, low), min(1.0, high)
