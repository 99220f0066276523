"""The choice of test images that the report shows as pictures, with a limit on their number."""

from collections.abc import Iterator
from itertools import islice, zip_longest
from typing import NamedTuple

import numpy as np
import pandas as pd

# Most pictures of a list.
LISTED = 48
# Most pictures of a cell of the confusion matrix.
IN_CELL = 24
# Most pictures in total.
MOST = 1000

Cells = dict[tuple[str, str], list[int]]


class GalleryRows(NamedTuple):
    """Rows of the predictions by outcome."""

    mistakes: list[int]
    flips: list[int]
    cells: Cells


def mistakes(predictions: pd.DataFrame) -> list[int]:
    """Return the rows of misclassified images, the most confident predictions first."""
    wrong = predictions[predictions["predicted"] != predictions["label"]]
    return _surest(wrong)


def negative_flips(predictions: pd.DataFrame) -> list[int]:
    """Return the rows of negative flips, the most confident predictions first; an empty list if there is no base."""
    if "base_predicted" not in predictions:
        return []
    right = predictions["base_predicted"] == predictions["label"]
    return _surest(predictions[right & (predictions["predicted"] != predictions["label"])])


def cells(predictions: pd.DataFrame) -> Cells:
    """Return the rows of each pair of actual and predicted class.

    Mistakes are sorted by falling confidence, correct predictions by rising confidence.
    """
    ordered = predictions.iloc[np.argsort(-predictions["confidence"], kind="stable")]
    found: Cells = {}
    for (actual, predicted), rows in ordered.groupby(["label", "predicted"], sort=True):
        positions = [int(row) for row in rows.index]
        found[str(actual), str(predicted)] = positions[::-1] if actual == predicted else positions
    return found


def find(predictions: pd.DataFrame) -> GalleryRows:
    """Return all rows from which `choose` selects."""
    return GalleryRows(mistakes(predictions), negative_flips(predictions), cells(predictions))


def choose(found: GalleryRows) -> list[int]:
    """Return the rows of the images to show, the most important first, without duplicates.

    First come the most confident mistakes and negative flips. Then comes one image of each cell (cells of mistakes
    before those of correct predictions, large cells first), then a second one of each, and so on.
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
