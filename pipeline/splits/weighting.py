"""How much images count in training: by the column `weight` of labels.csv, 1 where it says nothing.

An image of weight 0 belongs to the split that it would belong to. In val and test it counts as any other; in train it
is in no manifest, so that nothing is trained on it, and nothing measured.
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
# In place of the name of a split: of images that would be trained on, did they not weigh 0.
UNTRAINED = ""


def weights_of(images: pa.Table, sources: Callable[[], pa.ChunkedArray] | None = None) -> Weights:
    """The weight of each of `images`, which has the column attributes, and source, which `sources` may give instead.

    Of shape (len(images),).

    Raises:
        ImagesError: a cell is no weight; an earlier release has taken it in.
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
    if (known == USUAL_WEIGHT).all():  # Most projects; reading columns of text as arrays imports pandas.
        return np.full(len(images), USUAL_WEIGHT)
    weights: Weights = known[pc.index_in(images["attributes"], texts).to_numpy()]
    return weights


def written_weights(weights: Weights) -> list[str] | None:
    """The cells of the column `weight` of a manifest; None where all are 1, and so there is no such column."""
    return None if (weights == USUAL_WEIGHT).all() else [repr(weight).removesuffix(".0") for weight in weights.tolist()]
