"""The recipe: the version and the params that decide the bytes of stored images. A new recipe re-creates the images."""

import PIL

from pipeline import parquet
from pipeline.images import index
from pipeline.ingestion.catalogue import Catalogue
from pipeline.ingestion.collection import Collection
from pipeline.ingestion.standardising import VERSION
from pipeline.params import Ingest
from pipeline.versioning.lock import StageRecord, read_record

# Up to release 6b401a0, a recipe's name was a hash of params and source code. If dvc.lock records these deps of ingest,
# that recipe is the same as version 1 with the Pillow of that release.
HASHED_CODE = {
    "pipeline/images.py": "82b3c9f8954b85efd8faa699fa659d2d",
    "pipeline/memory.py": "a97fb275d424f4a8568b7b6ff83599d9",
    "pipeline/phash.py": "3676d6a9dc1b754dfbfc2bf917fc1bee",
}
HASHED_LENGTH, HASHED_MEANS = 32, (1, "13.0.0")


def recipe_of(params: Ingest) -> str:
    """Return the name of the recipe of `params` and this release; it is a valid name of a folder."""
    name = _name(VERSION, PIL.__version__, params.mode, params.size, params.animations)
    if params.range == "dtype":
        return name  # The same name as before `range` was introduced.
    return f"{name}-{params.range if isinstance(params.range, str) else '_'.join(map(str, params.range))}"


def still_good(had: Collection, stored: str, recipe: str) -> Collection:
    """Return the images of `had`, made by `stored`, that `recipe` and the installed packages do not change."""
    had = had.by_these_readers()
    if stored == recipe:
        return had
    if keeps_originals(stored, recipe):
        return had.originals()
    if _without_range(stored) == _without_range(recipe):
        return had.without_deep()
    return Collection(parquet.without_rows(index.WHOLE), Catalogue(), [])


def keeps_originals(stored: str, recipe: str) -> bool:
    """Whether images stored unchanged by the recipe `stored` are also stored unchanged by `recipe`.

    Version 2 differs from version 1 only for images that were re-encoded: of 16 and 32 bits, with both a colour profile
    and transparency, and JPEGs without chroma subsampling.
    """
    (before, _, how), (now, _, how_now) = stored.partition("-"), recipe.partition("-")
    return (before, now) == ("1", "2") and how == how_now


def _without_range(recipe: str) -> str:
    return "-".join(recipe.split("-")[:6])


def stored_recipe(recipe: str) -> str:
    """Return this release's name of `recipe`, the recipe of the index in data/images."""
    ingested = read_record().get("ingest")
    if ingested is None or recipe == todays_name(recipe, ingested) or not index.is_recorded(ingested):
        return recipe
    return todays_name(recipe, ingested)


def todays_name(recipe: str, ingested: StageRecord) -> str:
    """Return this release's name of `recipe`, the recipe of the index that dvc.lock records as `ingested`."""
    params = ingested.params.get("ingest", {})
    if len(recipe) != HASHED_LENGTH or not HASHED_CODE.items() <= ingested.deps.items():
        return recipe
    return _name(*HASHED_MEANS, params.get("mode"), params.get("size"), params.get("animations"))


def _name(version: int, pillow: str, mode: object, size: object, animations: object) -> str:
    return f"{version}-pillow-{pillow}-{mode}-{size}-{animations}"
