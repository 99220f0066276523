"""The square that images are decoded to, and its centre crop."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.framing import margin_of, middle, source_of


@pytest.mark.parametrize(
    ("size", "crop_pct", "source"),
    [(28, 1.0, 28), (224, 0.875, 256), (28, 0.875, 32), (224, 0.95, 236), (14, 0.28, 50), (1024, 0.25, 4096)],
)
def test_source(size: int, crop_pct: float, source: int) -> None:
    """The visible part has that share of the source's side, up to a pixel."""
    assert source_of(size, crop_pct) == source


@given(size=st.integers(8, 1024), crop_pct=st.floats(0.25, 1))
def test_source_is_no_smaller(size: int, crop_pct: float) -> None:
    """The source is never smaller than the visible part, and never larger than the largest stored image."""
    assert size <= source_of(size, crop_pct) <= 4096


@given(height=st.integers(1, 20), width=st.integers(1, 20), size=st.integers(1, 20))
def test_middle(height: int, width: int, size: int) -> None:
    """The margins on both sides differ by at most a pixel; a side that is not longer is kept."""
    images = torch.arange(height * width).reshape(1, 1, height, width)
    shown = middle(images, size)
    assert shown.shape == (1, 1, min(height, size), min(width, size))
    for side, first in ((height, int(shown[0, 0, 0, 0]) // width), (width, int(shown[0, 0, 0, 0]) % width)):
        after = side - first - min(side, size)
        assert margin_of(side, size) == first
        assert first <= after <= first + 1
