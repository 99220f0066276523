"""data/manifest/slices.csv: the subsets of the test images for which accuracy is reported, besides the classes.

The subsets are the generation in which an image first was in test.csv, and each further column of data/raw/labels.csv.
"""

import json
from io import BytesIO
from pathlib import Path

import pandas as pd

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.ingestion.labelling.image_weights import COLUMN as WEIGHT
from pipeline.versioning import fetching
from pipeline.versioning.lock import read_record

SLICES = "slices.csv"
PATH = paths.MANIFEST / SLICES
HINT = (
    "run `dvc push` where it was made and then `dvc repro` here, or `pipeline fresh`, with which all images are of the "
    "first generation"
)
NO_GENERATIONS = pd.Series(dtype=int)


def recorded_generations() -> "pd.Series[int]":
    """Return the generation of each test image of the last run of `manifest`, by id; empty without a record.

    Raises:
        MissingDataError: the recorded file cannot be found.
    """
    manifest = read_record().get("manifest")
    md5 = manifest.outs.get(PATH.as_posix()) if manifest else None
    if md5 is None:
        return NO_GENERATIONS
    content = fetching.read_file(md5, nearby=PATH, what=PATH.as_posix(), hint=HINT)
    return _read(BytesIO(content)).set_index("id")["generation"]


def slices_of(test: pd.DataFrame, recorded: "pd.Series[int]", generation: int) -> pd.DataFrame:
    """Return the content of slices.csv, in the order of `test`, a table of the test images with id and attributes.

    An image that `recorded` lacks gets `generation`, the one about to be trained. So does an image of a later
    generation: it belongs to another line of models, and this model's ancestors never saw it.
    """
    known = test["id"].map(recorded)
    generations = known.fillna(generation).clip(upper=generation).astype(int)
    read = {text: json.loads(text) for text in set(test["attributes"]) if text}
    columns = sorted({name for attributes in read.values() for name in attributes} - {WEIGHT})
    values = {name: [read[text].get(name, "") if text else "" for text in test["attributes"]] for name in columns}
    return pd.DataFrame({"id": test["id"], "generation": generations, **values})


def read_slices(test: pd.DataFrame) -> pd.DataFrame:
    """Return id, generation and the further columns of labels.csv, as text, one row for each image of `test`.

    Raises:
        ImagesError: the file is missing, or lists other images.
    """
    slices = _read(PATH) if PATH.exists() else None
    if slices is None or list(slices["id"]) != list(test["id"]):
        raise ImagesError(PATH, "not of the images in test.csv", "run `dvc repro`, or `dvc checkout`")
    return slices


def _read(file: Path | BytesIO) -> pd.DataFrame:
    # No text means a missing value: a camera may be called "None" or "NA".
    return pd.read_csv(file, dtype=str, keep_default_na=False).astype({"generation": int})
