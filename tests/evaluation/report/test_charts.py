"""The numbers behind the report's chart of generations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.report.charts import history

SHARES = st.none() | st.floats(0, 1)


def test_history() -> None:
    """Bars are relative to the largest; the accuracies lie between round shares."""
    chart = history([(1000, 0.8), (2000, None), (4000, 0.9)])
    assert (chart.low, chart.high) == (0.75, 0.95)
    assert [point.bar for point in chart.points] == [0.25, 0.5, 1]
    assert [point.y for point in chart.points] == [pytest.approx(0.25), None, pytest.approx(0.75)]
    assert [point.x for point in chart.points] == pytest.approx([1 / 6, 1 / 2, 5 / 6])


@given(st.lists(st.tuples(st.integers(0, 10**9), SHARES), min_size=1, max_size=50))
def test_everything_is_inside(generations: list[tuple[int, float | None]]) -> None:
    """Whatever the generations were, no point leaves the chart."""
    chart = history(generations)
    assert 0 <= chart.low < chart.high <= 1
    for point in chart.points:
        assert 0 <= point.bar <= 1
        assert 0 < point.x < 1
        assert point.y is None or 0 <= point.y <= 1
