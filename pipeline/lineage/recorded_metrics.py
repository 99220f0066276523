"""data/report/metrics.json: what evaluate measures, as types; and what Git or the workspace holds of it."""

import json
from typing import Literal, TypedDict

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
    """What metrics.json holds. One that an earlier release wrote may lack some: `get` what was not always there."""

    accepted: bool
    verdict: str
    model: str
    """The hash that dvc.lock records for it."""


def read_metrics() -> Metrics | None:
    """What the file says, None where there is none.

    Raises:
        RecordError: it cannot be read, because a merge left its marks in it, say.
    """
    try:
        content = paths.METRICS.read_bytes()
    except FileNotFoundError:
        return None
    return parse_metrics(content, checkout_hint(paths.METRICS))


def parse_metrics(content: bytes, hint: str) -> Metrics:
    """What a version of the file says; `hint` says what to do if that cannot be read.

    Raises:
        RecordError: it cannot.
    """
    try:
        metrics = json.loads(content)
    except (ValueError, RecursionError):
        metrics = None
    if not isinstance(metrics, dict):
        raise RecordError(paths.METRICS, "no JSON of what was measured", hint)
    return metrics  # type: ignore[return-value]  # What evaluate wrote.


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
