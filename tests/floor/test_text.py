"""Text and CSV for all readers."""

import csv
from io import StringIO

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text import counted, csv_lines, csv_text, in_bytes, in_words, percent

# File names can contain anything but a zero byte.
cells = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(st.lists(st.tuples(cells, cells)))
def test_any_cell_comes_back(rows: list[tuple[str, str]]) -> None:
    """Any cell is read back by the standard library and by pandas."""
    text = csv_text([("one", "other"), *rows])
    assert [tuple(row) for row in csv.reader(StringIO(text, newline=""))] == [("one", "other"), *rows]
    read = pd.read_csv(StringIO(text, newline=""), dtype=str, keep_default_na=False, skip_blank_lines=False)
    assert list(read.itertuples(index=False, name=None)) == rows


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_what_ends_a_line_is_quoted(end: str) -> None:
    """Cells with line ends of any kind are quoted; the lines themselves have no end."""
    assert list(csv_lines([(f"a{end}b", 1)])) == [f'"a{end}b",1']


@pytest.mark.parametrize(("count", "said"), [(0, "0 images"), (1, "1 image"), (2, "2 images"), (1234, "1,234 images")])
def test_nouns_follow_their_count(count: int, said: str) -> None:
    """A count of one has the singular; irregular plurals are given."""
    assert counted(count, "image") == said
    assert counted(count, "class", "classes") == said.replace("images", "classes").replace("image", "class")


@pytest.mark.parametrize(("share", "said"), [(0, "0.0 %"), (0.8487, "84.9 %"), (1, "100.0 %")])
def test_percent(share: float, said: str) -> None:
    """A share has one decimal, and a space before the percent sign."""
    assert percent(share) == said


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "1 s"), (99.4, "99 s"), (150, "2 min"), (5999, "100 min"), (7300, "2 h"), (1e6, "12 days")],
)
def test_in_words(seconds: float, words: str) -> None:
    """Durations are as precise as a forecast can be."""
    assert in_words(seconds) == words


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "0.0 KiB"), (1536, "1.5 KiB"), (2**20 - 1, "1,024.0 KiB"), (2**20, "1.0 MiB"), (5 * 2**40, "5,120.0 GiB")],
)
def test_in_bytes(size: int, said: str) -> None:
    """Sizes have a unit with few digits."""
    assert in_bytes(size) == said
