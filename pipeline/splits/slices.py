"""data/manifest/slices.csv: what distinguishes the test images that a model is measured on, besides their classes.

The generation in which an image first came into test.csv, and each further column of data/raw/labels.csv.
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
    """The generation of each test image that the last run of `manifest` knew, by id; none where none is recorded.

    Raises:
        MissingDataError: it is recorded in a file that cannot be found.
    """
    manifest = read_record().get("manifest")
    md5 = manifest.outs.get(PATH.as_posix()) if manifest else None
    if md5 is None:
        return NO_GENERATIONS
    content = fetching.read_file(md5, nearby=PATH, what=PATH.as_posix(), hint=HINT)
    return _read(BytesIO(content)).set_index("id")["generation"]


def slices_of(test: pd.DataFrame, recorded: "pd.Series[int]", generation: int) -> pd.DataFrame:
    """The content of slices.csv, in the order of `test`, which has the columns id and attributes of the test images.

    An image that `recorded` does not know is of `generation`, the one that is about to be trained. So is one of a later
    generation, which this model's ancestors never met: another model descends from them.
    """
    known = test["id"].map(recorded)
    generations = known.fillna(generation).clip(upper=generation).astype(int)
    read = {text: json.loads(text) for text in set(test["attributes"]) if text}
    columns = sorted({name for attributes in read.values() for name in attributes} - {WEIGHT})
    values = {name: [read[text].get(name, "") if text else "" for text in test["attributes"]] for name in columns}
    return pd.DataFrame({"id": test["id"], "generation": generations, **values})


def read_slices(test: pd.DataFrame) -> pd.DataFrame:
    """The columns id, generation and the further ones of labels.csv, as text, a row for each image of `test`.

    Raises:
        ImagesError: the file is of other images, or there is none.
    """
    slices = _read(PATH) if PATH.exists() else None
    if slices is None or list(slices["id"]) != list(test["id"]):
        raise ImagesError(PATH, "not of the images in test.csv", "run `dvc repro`, or `dvc checkout`")
    return slices


def _read(file: Path | BytesIO) -> pd.DataFrame:
    # Nothing is a missing value here: a camera may well be called "None" or "NA".
    return pd.read_csv(file, dtype=str, keep_default_na=False).astype({"generation": int})
