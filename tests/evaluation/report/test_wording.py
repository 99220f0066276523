"""The format of figures and names in the report."""

import pytest

from pipeline.evaluation.report.wording import difference, direction, number, points
from pipeline.pages.wording import percent


def test_nothing_to_measure() -> None:
    """An unmeasured value is a dash, not a zero."""
    assert {write(None) for write in (percent, points, number, difference)} == {"–"}


def test_signs() -> None:
    """Every change has a sign; one too small to print has both."""
    assert [points(change) for change in (0.0123, -0.0123, 0.0, 0.0001, -0.0001)] == [
        "+1.2",
        "−1.2",
        "±0.0",
        "±0.0",
        "±0.0",
    ]
    assert difference(-0.25) == "−0.250"


@pytest.mark.parametrize(
    ("change", "better", "said"),
    [(0.1, 1, "good"), (0.1, -1, "bad"), (-0.1, 1, "bad"), (-0.1, -1, "good"), (0.0001, 1, "same"), (None, 1, "same")],
)
def test_direction(change: float | None, better: int, said: str) -> None:
    """Whether a change is an improvement depends on the metric."""
    assert direction(change, better) == said
