"""How images are made of files: other parameters, or a version that makes other bytes, make all of them again."""

import PIL

from pipeline import parquet
from pipeline.images import index
from pipeline.ingestion.catalogue import Catalogue
from pipeline.ingestion.collection import Collection
from pipeline.ingestion.standardising import VERSION
from pipeline.params import Ingest
from pipeline.versioning.lock import StageRecord, read_record

# Up to release 6b401a0 the name was a hash of parameters and source text. What these files made, and dvc.lock then has
# them among the deps of ingest, version 1 makes with the Pillow of that release.
HASHED_CODE = {
    "pipeline/images.py": "82b3c9f8954b85efd8faa699fa659d2d",
    "pipeline/memory.py": "a97fb275d424f4a8568b7b6ff83599d9",
    "pipeline/phash.py": "3676d6a9dc1b754dfbfc2bf917fc1bee",
}
HASHED_LENGTH, HASHED_MEANS = 32, (1, "13.0.0")


def recipe_of(params: Ingest) -> str:
    """Names what decides on the bytes of the stored images; fit for the name of a folder."""
    name = _name(VERSION, PIL.__version__, params.mode, params.size, params.animations)
    if params.range == "dtype":
        return name  # As before there was another range.
    return f"{name}-{params.range if isinstance(params.range, str) else '_'.join(map(str, params.range))}"


def still_good(had: Collection, stored: str, recipe: str) -> Collection:
    """What of `had`, which was made by the recipe `stored`, is as `recipe` and what is installed would make it now."""
    had = had.by_these_readers()
    if stored == recipe:
        return had
    if keeps_originals(stored, recipe):
        return had.originals()
    if _without_range(stored) == _without_range(recipe):
        return had.without_deep()
    return Collection(parquet.without_rows(index.WHOLE), Catalogue(), [])


def keeps_originals(stored: str, recipe: str) -> bool:
    """Whether images that are stored as they came are the same by the recipe `stored` as by `recipe`.

    Version 2 makes others of images that version 1 had to change: of 16 and 32 bits, with a colour profile beside
    transparency, and JPEGs without subsampling of colours.
    """
    (before, _, how), (now, _, how_now) = stored.partition("-"), recipe.partition("-")
    return (before, now) == ("1", "2") and how == how_now


def _without_range(recipe: str) -> str:
    return "-".join(recipe.split("-")[:6])


def stored_recipe(recipe: str) -> str:
    """The name that this release gives to `recipe`, which the index in data/images bears."""
    ingested = read_record().get("ingest")
    if ingested is None or recipe == todays_name(recipe, ingested) or not index.is_recorded(ingested):
        return recipe
    return todays_name(recipe, ingested)


def todays_name(recipe: str, ingested: StageRecord) -> str:
    """The name that this release gives to `recipe`, which the index bears that dvc.lock records as `ingested`."""
    params = ingested.params.get("ingest", {})
    if len(recipe) != HASHED_LENGTH or not HASHED_CODE.items() <= ingested.deps.items():
        return recipe
    return _name(*HASHED_MEANS, params.get("mode"), params.get("size"), params.get("animations"))


def _name(version: int, pillow: str, mode: object, size: object, animations: object) -> str:
    return f"{version}-pillow-{pillow}-{mode}-{size}-{animations}"
