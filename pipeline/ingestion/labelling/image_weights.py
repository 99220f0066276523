"""The column `weight` of labels.csv: how much an image counts in training, and how such a number is written."""

import re

COLUMN = "weight"
# Of an image of which nothing says it.
USUAL_WEIGHT = 1.0
NUMBER = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
# Beyond these a mean of weights would not be exact any more.
LEAST, MOST = 1e-6, 1e6
NEEDED = f"write 0 to keep it from training, or a number from {LEAST:f} to {MOST:.0f} like 0.5"


def weight_of(cell: str) -> float:
    """The weight that a cell says.

    Raises:
        ValueError: it is no such number.
    """
    if not cell:
        return USUAL_WEIGHT
    number = float(cell) if NUMBER.fullmatch(cell) else -1.0
    if number != 0 and not LEAST <= number <= MOST:
        raise ValueError(cell)
    return number
