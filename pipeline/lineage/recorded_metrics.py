"""The metrics that evaluate measures, as types, and how to read them from Git or the workspace.

data/report/metrics.json has the figures of the whole test split, details.json the rest. Earlier releases wrote
everything into metrics.json.
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
    """A model's figures on all test images, see `metrics.figures`. None where there is nothing to measure."""

    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    balanced_accuracy: float | None
    macro_f1: float | None
    loss: float | None
    calibration_error: float | None
    support: int


class ClassFigures(TypedDict):
    """Figures on the images of one class."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    base_precision: float | None
    base_recall: float | None
    base_f1: float | None


class SliceFigures(TypedDict):
    """Figures on the images of one slice."""

    accuracy: float | None
    support: int
    base_accuracy: float | None


class FlipFigures(TypedDict):
    """The shares of images whose prediction turned wrong (negative) or right (positive)."""

    negative_flips: float | None
    positive_flips: float | None


class TransferFigures(TypedDict):
    """The effects of learning some images on the accuracy on others, see transfer.py."""

    forgetting: float | None
    backward_transfer: float | None
    forward_transfer: float | None


class ChangeFigures(FlipFigures, TransferFigures):
    """Differences between a model and its base."""

    accuracy: float | None


class Measurements(Figures):
    """All measurements of a model and its base."""

    validation: float | None
    base: Figures | None
    change: ChangeFigures | None
    classes: dict[str, ClassFigures]
    slices: dict[str, SliceFigures | dict[str, SliceFigures]]
    """The slices `new` and `old`; a slice for each generation, and for each value of a further column of labels.csv."""


class Metrics(Measurements):
    """The content of both files. Files of an earlier release may lack some keys: `get` those that were added later."""

    accepted: bool
    verdict: str
    model: str
    """The hash that dvc.lock records for the model."""


# The keys that go into details.json; metrics.json also has the model, as a short hash.
DETAILED = ("verdict", "model", "classes", "slices")


def in_files(metrics: Metrics) -> dict[Path, dict[str, Any]]:
    """Return the content of each of the two files, by path."""
    figures = {key: figure for key, figure in metrics.items() if key not in DETAILED}
    details = {key: figure for key, figure in metrics.items() if key in DETAILED}
    return {paths.METRICS: {**figures, "model": metrics["model"][:8]}, paths.DETAILS: details}


def read_metrics() -> Metrics | None:
    """Read both files; None where there is no metrics.json.

    Raises:
        RecordError: one of them cannot be read, for example because it contains conflict markers.
    """
    if not paths.METRICS.exists():
        return None
    details = paths.DETAILS.read_bytes() if paths.DETAILS.exists() else None
    return parse_metrics(paths.METRICS.read_bytes(), details, checkout_hint)


def parse_metrics(metrics: bytes, details: bytes | None, hint: Callable[[Path], str]) -> Metrics:
    """Parse a version of both files; `hint` returns the hint for a file that cannot be read.

    Raises:
        RecordError: one of them cannot be read.
    """
    parsed = _parsed(metrics, paths.METRICS, hint)
    if details is not None and "classes" not in parsed:
        parsed |= _parsed(details, paths.DETAILS, hint)
    return parsed  # type: ignore[return-value]  # As evaluate wrote it.


def _parsed(content: bytes, path: Path, hint: Callable[[Path], str]) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise RecordError(path, "no JSON of what was measured", hint(path))
    return parsed


def slice_of(metrics: Measurements, age: Age) -> SliceFigures:
    """Return the slice of the new images, or of the old images."""
    return metrics["slices"][age]  # type: ignore[return-value]  # A slice, not a column.


def table_of(metrics: Measurements, column: str) -> dict[str, SliceFigures]:
    """Return the slices of `column`, by the value in it."""
    return metrics["slices"][column]  # type: ignore[return-value]  # A column, neither `new` nor `old`.


def by_generation(metrics: Measurements, what: Literal["accuracy", "base_accuracy"]) -> dict[int, float]:
    """Return the accuracy of the model, or of its base, on the images added in each generation, where it is known."""
    rows = ((int(name), row[what]) for name, row in table_of(metrics, "generation").items())
    return {generation: accuracy for generation, accuracy in rows if accuracy is not None}
