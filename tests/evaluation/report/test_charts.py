"""The numbers behind the report's charts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.report.charts import curves, history

SHARES = st.none() | st.floats(0, 1)


def test_history() -> None:
    """Bars are relative to the largest one; accuracies lie between round shares."""
    chart = history([(1000, 0.8), (2000, None), (4000, 0.9)])
    assert (chart.low, chart.high) == (0.75, 0.95)
    assert [point.bar for point in chart.points] == [0.25, 0.5, 1]
    assert [point.y for point in chart.points] == [pytest.approx(0.25), None, pytest.approx(0.75)]
    assert [point.x for point in chart.points] == pytest.approx([1 / 6, 1 / 2, 5 / 6])


@given(st.lists(st.tuples(st.integers(0, 10**9), SHARES), min_size=1, max_size=50))
def test_everything_is_inside(generations: list[tuple[int, float | None]]) -> None:
    """No point is outside the chart, for any generations."""
    chart = history(generations)
    assert 0 <= chart.low < chart.high <= 1
    for point in chart.points:
        assert 0 <= point.bar <= 1
        assert 0 < point.x < 1
        assert point.y is None or 0 <= point.y <= 1


def test_curves() -> None:
    """Curves without points are left out; the others share a scale, which starts at 0 except for shares."""
    assert curves("Loss", "number", {"a": []}, 10) is None
    chart = curves("Loss", "number", {"a": [(5, 2.0), (10, 1.0)], "b": [], "c": [(10, 0.5)]}, 10)
    assert chart is not None
    assert (chart.low, chart.high) == (0, 2)
    assert [(line.name, line.points) for line in chart.lines] == [("a", [(0.5, 1), (1, 0.5)]), ("c", [(1, 0.25)])]
    shares = curves("Accuracy", "percent", {"a": [(1, 0.8), (2, 0.9)]}, 2)
    assert shares is not None
    assert (shares.low, shares.high) == (0.75, 0.95)
