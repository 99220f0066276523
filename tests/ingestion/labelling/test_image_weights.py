"""The column `weight` of labels.csv, and errors in it."""

from io import BytesIO

import pytest

from pipeline.errors import ImagesError
from pipeline.ingestion.labelling.image_weights import weight_of
from pipeline.ingestion.labelling.label_tables import Columns, LabelRow, LabelTable


@pytest.mark.parametrize(
    ("cell", "weight"),
    [("", 1), ("1", 1), ("0", 0), ("0.0", 0), ("0.5", 0.5), (".5", 0.5), ("2.", 2), ("1e3", 1000), ("1E-6", 1e-6)],
)
def test_numbers(cell: str, weight: float) -> None:
    """Decimal numbers are weights, with or without an exponent; an empty cell is 1."""
    assert weight_of(cell) == weight


def rows(content: str) -> list[LabelRow]:
    """Return the rows of a labels.csv."""
    return list(LabelTable("labels.csv", BytesIO(content.encode()), Columns()).rows())


@pytest.mark.parametrize(
    "cell", ["-1", "-0", "+1", "nan", "inf", "1e400", "1e-7", "1000001", "1_000", "0x1", "\u0661", "1 2", "1/2", "yes"]
)
def test_no_numbers(cell: str) -> None:
    """Anything else is an error with the line, the cell, and a hint."""
    with pytest.raises(ImagesError, match=r"line 3 has the weight .*; write 0 to keep it from training, or"):
        rows(f"path,label,weight\na.png,cat,2\nb.png,cat,{cell}\n")


def test_decimal_commas() -> None:
    """A decimal comma, as spreadsheets write in many countries, is not read as another number."""
    with pytest.raises(ImagesError, match=r"line 2 has the weight '0,5'; .* like 0\.5"):
        rows("path;label;weight\na.png;cat;0,5\n")


def test_blanks_around() -> None:
    """Spaces around the number are ignored."""
    (row,) = rows("path,label,weight\na.png,cat, 0.5 \n")
    assert row.line.attributes == '{"weight": "0.5"}'
