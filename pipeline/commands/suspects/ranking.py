"""Rank training images by the evidence against their labels. Only the current model is needed; nothing is written.

The model was trained on all of these images, so each is judged by its nearest neighbours, as in a first generation.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet, paths
from pipeline.errors import ImagesError
from pipeline.evaluation.inference import look_at
from pipeline.evaluation.review.reviewing import by_neighbours
from pipeline.evaluation.review.suspects import list_suspects
from pipeline.images import index
from pipeline.images.dataset import locate, read_manifest
from pipeline.params import Params
from pipeline.splits.duplicates.grid import Sorted
from pipeline.splits.review import other_label
from pipeline.text import csv_text


class Ranking(NamedTuple):
    """The suspects, and the number of training images."""

    suspects: pd.DataFrame
    """The suspects, with the columns of suspects.csv, the most certain first."""
    images: int


def rank(params: Params) -> Ranking:
    """Rank all images of data/manifest/train.csv by the features of data/model.

    Raises:
        ImagesError: the manifest is missing, or does not match data/images.
        CheckpointError: the model is damaged.
    """
    if not (paths.MANIFEST / "train.csv").exists():
        raise ImagesError(paths.MANIFEST / "train.csv", "no such file", "run `dvc checkout`, or `dvc repro`")
    train = read_manifest("train")
    (seen,) = look_at(paths.MODEL, [locate(train, params.compute)], params)
    judged = by_neighbours(_lines(train), seen)
    return Ranking(list_suspects([judged], judged.lines[:0]), len(train))


def write_csv(suspects: pd.DataFrame, path: Path) -> None:
    """Write `suspects` to `path`.

    Raises:
        ImagesError: `path` cannot be written.
    """
    rows = suspects.astype(object).where(suspects.notna(), "").itertuples(index=False)
    try:
        path.write_text(csv_text([list(suspects), *rows]), encoding="utf-8", newline="")
    except OSError as error:
        raise ImagesError(path, f"cannot be written: {error.strerror}", "choose another file") from None


def _lines(train: pd.DataFrame) -> pd.DataFrame:
    """Return the images of `train` with the columns of review.csv."""
    table = parquet.read_table(index.INDEX, index.SCHEMA, ["id", "source", "descriptor"])
    where = pc.index_in(pa.array(train["id"], pa.string()), table["id"])
    found = table.take(where)
    descriptors = np.frombuffer(b"".join(found["descriptor"].to_pylist()), np.int8).reshape(-1, 64)
    like = other_label(np.arange(len(train)), train["label"], Sorted.of(descriptors))
    lines = train.assign(split="train", source=found["source"].to_pylist())
    for name in ("id", "label", "source"):
        lines[f"like_{name}"] = np.where(like >= 0, lines[name].to_numpy(dtype=object)[like], "")
    return lines
