"""Figures and names as the page writes them."""

import unicodedata
from collections.abc import Callable
from typing import Any, NamedTuple

from pipeline import text

NOTHING = "–"
# Letters of a name.
LONGEST = 200
# Letters and symbols that show nothing: Hangul fillers, and the Braille pattern without dots.
BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")

# Embeddings, overrides and isolates.
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Figure(NamedTuple):
    """A figure of metrics.json."""

    key: str
    name: str
    about: str
    kind: str
    """How it is written: as `percent`, as `points` of a percentage, or as `number`."""
    better: int
    """1 where more is better, −1 where less is, 0 where it is neither."""


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
    Figure("loss", "Log loss", "how far its probabilities are from the truth", "number", -1),
    Figure("calibration_error", "Calibration error", "how far its confidence is from its accuracy", "percent", -1),
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
    Figure("forgetting", "Forgetting", "accuracy lost on earlier images, against the best model before", "points", -1),
    Figure(
        "backward_transfer", "Backward transfer", "what learning since then has done to earlier images", "points", 1
    ),
    Figure(
        "forward_transfer",
        "Forward transfer",
        "what was known of new images before any was learned, above chance",
        "points",
        1,
    ),
)


def percent(share: float | None) -> str:
    """A share of one in percent."""
    return NOTHING if share is None else text.percent(share).replace(" ", "\N{NO-BREAK SPACE}")


def points(change: float | None) -> str:
    """A change of a share in percentage points, with its sign."""
    return NOTHING if change is None else _signed(change * 100, 1)


def number(value: float | None) -> str:
    """A figure that is no share."""
    return NOTHING if value is None else f"{value:.3f}"


def difference(change: float | None) -> str:
    """A change of such a figure, with its sign."""
    return NOTHING if change is None else _signed(change, 3)


def count(value: int) -> str:
    """A whole number."""
    return f"{value:,}"


def direction(change: float | None, better: int = 1) -> str:
    """Whether a change is `good`, `bad`, or neither: `same`."""
    if change is None or abs(change) < 0.0005 or not better:
        return "same"
    return "good" if change * better > 0 else "bad"


def visible(name: str, longest: int = LONGEST) -> str:
    """`name`; as code points what controls, or turns letters after it round, and all of it where it would look empty.

    The end of a very long one is left out.
    """
    seen = any(unicodedata.category(char)[0] not in "CZM" and char not in BLANK for char in name)
    name = name if len(name) <= longest else f"{name[:longest]}…"
    hidden = {char for char in name if not seen or char in TURNING or unicodedata.category(char) == "Cc"}
    return "".join(f"[U+{ord(char):04X}]" if char in hidden else char for char in name)


def _signed(value: float, digits: int) -> str:
    written = f"{abs(value):.{digits}f}"
    if not float(written):
        return f"±{written}"
    return f"{'+' if value > 0 else '−'}{written}"


FILTERS: dict[str, Callable[..., Any]] = {
    "percent": percent,
    "points": points,
    "number": number,
    "difference": difference,
    "count": count,
    "direction": direction,
    "visible": visible,
}
