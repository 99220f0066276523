"""The numbers behind the page's charts."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class ChartPoint(NamedTuple):
    """A generation in a chart; every number but `images` is a share of the chart's width or height."""

    x: float
    bar: float
    images: int
    y: float | None
    accuracy: float | None


class HistoryChart(NamedTuple):
    """A chart of the generations, oldest first."""

    low: float
    """The accuracy at its foot."""
    high: float
    """And at its top."""
    points: list[ChartPoint]


def history(generations: Sequence[tuple[int, float | None]]) -> HistoryChart:
    """The chart of so many images and such an accuracy in each generation."""
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


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Round shares that enclose `values`, some way apart."""
    if not values:
        return 0.0, 1.0
    low, high = math.floor(min(values) * 20 - 0.2) / 20, math.ceil(max(values) * 20 + 0.2) / 20
    return max(0.0, low), min(1.0, high)
