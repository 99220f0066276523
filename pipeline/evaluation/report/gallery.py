"""Which test images the report shows as pictures: bounded numbers of those that one wants to see."""

from collections.abc import Iterator
from itertools import islice, zip_longest
from typing import NamedTuple

import numpy as np
import pandas as pd

# Pictures that a list shows.
LISTED = 48
# And a cell of the confusion matrix.
IN_CELL = 24
# All together.
MOST = 1000

Cells = dict[tuple[str, str], list[int]]


class GalleryRows(NamedTuple):
    """Rows of images by what became of them."""

    mistakes: list[int]
    flips: list[int]
    cells: Cells


def mistakes(predictions: pd.DataFrame) -> list[int]:
    """The rows of images that the model is wrong about, the surest first."""
    wrong = predictions[predictions["predicted"] != predictions["label"]]
    return _surest(wrong)


def negative_flips(predictions: pd.DataFrame) -> list[int]:
    """The rows of images that the base is right about and the model wrong, the surest first; none without a base."""
    if "base_predicted" not in predictions:
        return []
    right = predictions["base_predicted"] == predictions["label"]
    return _surest(predictions[right & (predictions["predicted"] != predictions["label"])])


def cells(predictions: pd.DataFrame) -> Cells:
    """The rows of each pair of actual and predicted class.

    Of mistakes the surest come first, of right answers the least sure.
    """
    ordered = predictions.iloc[np.argsort(-predictions["confidence"], kind="stable")]
    found: Cells = {}
    for (actual, predicted), rows in ordered.groupby(["label", "predicted"], sort=True):
        positions = [int(row) for row in rows.index]
        found[str(actual), str(predicted)] = positions[::-1] if actual == predicted else positions
    return found


def find(predictions: pd.DataFrame) -> GalleryRows:
    """All there is to choose from."""
    return GalleryRows(mistakes(predictions), negative_flips(predictions), cells(predictions))


def choose(found: GalleryRows) -> list[int]:
    """The rows of the images to show, the most wanted first, none twice.

    Those are the worst mistakes and negative flips; then an image of each cell, mistakes before right answers and large
    cells first; then a second one of each, and so on.
    """
    ranked = dict.fromkeys([*found.mistakes[:LISTED], *found.flips[:LISTED], *_in_turn(found.cells)])
    return list(islice(ranked, MOST))


def _in_turn(found: Cells) -> Iterator[int]:
    largest = sorted(found.items(), key=lambda item: (item[0][0] == item[0][1], -len(item[1]), item[0]))
    for turn in zip_longest(*(rows[:IN_CELL] for _, rows in largest)):
        yield from (row for row in turn if row is not None)


def _surest(predictions: pd.DataFrame) -> list[int]:
    order = np.argsort(-predictions["confidence"], kind="stable")
    return [int(row) for row in predictions.index[order]]
