"""MD5s of many texts are those of Python's library."""

from hashlib import md5

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.splits import md5 as ours
from pipeline.splits.md5 import LONGEST, md5_of_each


@given(st.integers(0, LONGEST), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_as_the_library(length: int, count: int, seed: int) -> None:
    """Of texts of any bytes and any length up to the longest."""
    texts = np.random.default_rng(seed).integers(0, 256, (count, length), np.uint8)
    expected = b"".join(md5(text.tobytes()).digest() for text in texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ours, "TEXTS", 7)
        for few in (1, 100):
            patch.setattr(ours, "FEW", few)
            assert md5_of_each(texts).astype("<u4").tobytes() == expected
