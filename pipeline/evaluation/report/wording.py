"""The names and formats of metrics in the report."""

from collections.abc import Callable
from typing import Any, NamedTuple

from pipeline.pages import wording
from pipeline.pages.wording import NOTHING


class Figure(NamedTuple):
    """A metric of metrics.json."""

    key: str
    name: str
    about: str
    kind: str
    """The format of its values: `percent`, `points` (percentage points) or `number`."""
    better: int
    """1 if higher is better, −1 if lower is better, 0 if neither."""


FIGURES = (
    Figure("accuracy", "Accuracy", "share of the test images classified correctly", "percent", 1),
    Figure(
        "balanced_accuracy",
        "Balanced accuracy",
        "mean of the classes' recall: rare classes count as much",
        "percent",
        1,
    ),
    Figure("macro_f1", "Macro F1", "mean of the classes' F1", "number", 1),
    Figure("loss", "Log loss", "mean negative log-likelihood of the labels", "number", -1),
    Figure("calibration_error", "Calibration error", "mean difference between confidence and accuracy", "percent", -1),
)
CHANGES = (
    Figure(
        "negative_flips",
        "Negative flips",
        "images that only the base classifies correctly",
        "percent",
        -1,
    ),
    Figure(
        "positive_flips",
        "Positive flips",
        "images that only the model classifies correctly",
        "percent",
        1,
    ),
    Figure("forgetting", "Forgetting", "accuracy lost on earlier images, against the best earlier model", "points", -1),
    Figure(
        "backward_transfer",
        "Backward transfer",
        "effect of later training on the accuracy of earlier images",
        "points",
        1,
    ),
    Figure(
        "forward_transfer",
        "Forward transfer",
        "accuracy on new images before training on them, above chance",
        "points",
        1,
    ),
)


def points(change: float | None) -> str:
    """Format the change of a share in percentage points, with its sign."""
    return NOTHING if change is None else _signed(change * 100, 1)


def number(value: float | None) -> str:
    """Format a metric that is not a share."""
    return NOTHING if value is None else f"{value:.3f}"


def difference(change: float | None) -> str:
    """Format the change of a metric that is not a share, with its sign."""
    return NOTHING if change is None else _signed(change, 3)


def direction(change: float | None, better: int = 1) -> str:
    """Return `good`, `bad`, or `same` if the change is neither."""
    if change is None or abs(change) < 0.0005 or not better:
        return "same"
    return "good" if change * better > 0 else "bad"


def _signed(value: float, digits: int) -> str:
    written = f"{abs(value):.{digits}f}"
    if not float(written):
        return f"±{written}"
    return f"{'+' if value > 0 else '−'}{written}"


FILTERS: dict[str, Callable[..., Any]] = wording.FILTERS | {
    "points": points,
    "number": number,
    "difference": difference,
    "direction": direction,
}
