"""The weights of images in training, from the column `weight` of labels.csv; 1 if it is empty.

A weight does not change an image's split. In val and test, an image of weight 0 counts like any other; in train, it is
in no manifest, so it is neither trained on nor measured.
"""

import json
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.ingestion.labelling.image_weights import COLUMN, NEEDED, USUAL_WEIGHT, weight_of

Weights = npt.NDArray[np.float64]
# Replaces the split's name for training images of weight 0.
UNTRAINED = ""


def weights_of(images: pa.Table, sources: Callable[[], pa.ChunkedArray] | None = None) -> Weights:
    """Return the weight of each of `images`, shape (len(images),).

    `images` has the columns attributes and source; `sources` may supply source instead, for an error message.

    Raises:
        ImagesError: a cell is not a weight, which earlier releases accepted.
    """
    texts = pc.unique(images["attributes"])
    known = np.full(len(texts), USUAL_WEIGHT)
    for at, text in enumerate(texts.to_pylist()):
        cell = json.loads(text).get(COLUMN, "") if text else ""
        try:
            known[at] = weight_of(cell)
        except ValueError:
            column = sources() if sources else images["source"]
            source = column[pc.index(images["attributes"], text).as_py()].as_py()
            raise ImagesError(paths.LABELS, f"the weight of {source} is {cell!r}", NEEDED) from None
    if (known == USUAL_WEIGHT).all():  # The usual case; reading columns of text as arrays would import pandas.
        return np.full(len(images), USUAL_WEIGHT)
    weights: Weights = known[pc.index_in(images["attributes"], texts).to_numpy()]
    return weights


def written_weights(weights: Weights) -> list[str] | None:
    """Return the cells of a manifest's column `weight`; None if all weights are 1, when the column is omitted."""
    return None if (weights == USUAL_WEIGHT).all() else [repr(weight).removesuffix(".0") for weight in weights.tolist()]
