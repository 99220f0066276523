"""The column `weight` of labels.csv: an image's weight in training."""

import re

COLUMN = "weight"
# The weight of images for which none is given.
USUAL_WEIGHT = 1.0
NUMBER = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
# Outside this range, a mean of weights would lose precision.
LEAST, MOST = 1e-6, 1e6
NEEDED = f"write 0 to keep it from training, or a number from {LEAST:f} to {MOST:.0f} like 0.5"


def weight_of(cell: str) -> float:
    """Return the weight in a cell; an empty cell means `USUAL_WEIGHT`.

    Raises:
        ValueError: the cell is not 0 and not a number from `LEAST` to `MOST`.
    """
    if not cell:
        return USUAL_WEIGHT
    number = float(cell) if NUMBER.fullmatch(cell) else -1.0
    if number != 0 and not LEAST <= number <= MOST:
        raise ValueError(cell)
    return number
