"""What evaluate measures, as types; and what Git or the workspace holds of it.

data/report/metrics.json has the figures of the whole test split, details.json the rest. Earlier releases wrote all into
metrics.json.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypedDict

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.versioning.lock import checkout_hint

Age = Literal["new", "old"]


class Figures(TypedDict):
    """A number each of a model, on all test images: see `metrics.figures`. None where there is nothing to measure."""

    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    balanced_accuracy: float | None
    macro_f1: float | None
    loss: float | None
    calibration_error: float | None
    support: int


class ClassFigures(TypedDict):
    """Of the images of a class."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    base_precision: float | None
    base_recall: float | None
    base_f1: float | None


class SliceFigures(TypedDict):
    """Of the images of a slice."""

    accuracy: float | None
    support: int
    base_accuracy: float | None


class FlipFigures(TypedDict):
    """The share of images that changed sides."""

    negative_flips: float | None
    positive_flips: float | None


class TransferFigures(TypedDict):
    """What learning does to other images, see transfer.py."""

    forgetting: float | None
    backward_transfer: float | None
    forward_transfer: float | None


class ChangeFigures(FlipFigures, TransferFigures):
    """Of a model against its base."""

    accuracy: float | None


class Measurements(Figures):
    """What is measured of a model and its base."""

    validation: float | None
    base: Figures | None
    change: ChangeFigures | None
    classes: dict[str, ClassFigures]
    slices: dict[str, SliceFigures | dict[str, SliceFigures]]
    """The slices `new` and `old`; and a slice for each generation, and each value of a further column of labels.csv."""


class Metrics(Measurements):
    """What both files hold. What an earlier release wrote may lack some: `get` what was not always there."""

    accepted: bool
    verdict: str
    model: str
    """The hash that dvc.lock records for it."""


# What details.json holds of it; metrics.json names the model, too, in short.
DETAILED = ("verdict", "model", "classes", "slices")


def in_files(metrics: Metrics) -> dict[Path, dict[str, Any]]:
    """What each of the two files holds of `metrics`."""
    figures = {key: figure for key, figure in metrics.items() if key not in DETAILED}
    details = {key: figure for key, figure in metrics.items() if key in DETAILED}
    return {paths.METRICS: {**figures, "model": metrics["model"][:8]}, paths.DETAILS: details}


def read_metrics() -> Metrics | None:
    """What the files say, None where there is no metrics.json.

    Raises:
        RecordError: one cannot be read, because a merge left its marks in it, for example.
    """
    if not paths.METRICS.exists():
        return None
    details = paths.DETAILS.read_bytes() if paths.DETAILS.exists() else None
    return parse_metrics(paths.METRICS.read_bytes(), details, checkout_hint)


def parse_metrics(metrics: bytes, details: bytes | None, hint: Callable[[Path], str]) -> Metrics:
    """What a version of the files says; `hint` says what to do about one that cannot be read.

    Raises:
        RecordError: it cannot.
    """
    parsed = _parsed(metrics, paths.METRICS, hint)
    if details is not None and "classes" not in parsed:
        parsed |= _parsed(details, paths.DETAILS, hint)
    return parsed  # type: ignore[return-value]  # What evaluate wrote.


def _parsed(content: bytes, path: Path, hint: Callable[[Path], str]) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise RecordError(path, "no JSON of what was measured", hint(path))
    return parsed


def slice_of(metrics: Measurements, age: Age) -> SliceFigures:
    """The slice of the new images, or of the old ones."""
    return metrics["slices"][age]  # type: ignore[return-value]  # A slice, and no column.


def table_of(metrics: Measurements, column: str) -> dict[str, SliceFigures]:
    """The slices by what is in `column`, by value."""
    return metrics["slices"][column]  # type: ignore[return-value]  # A column, neither `new` nor `old`.


def by_generation(metrics: Measurements, what: Literal["accuracy", "base_accuracy"]) -> dict[int, float]:
    """The accuracy of the model, or of its base, on the images that came in each generation, where that is known."""
    rows = ((int(name), row[what]) for name, row in table_of(metrics, "generation").items())
    return {generation: accuracy for generation, accuracy in rows if accuracy is not None}
