"""How images are made of files: other parameters, or a version that makes other bytes, make all of them again."""

import PIL

from pipeline.ingestion.standardising import VERSION
from pipeline.params import Ingest


def recipe_of(params: Ingest) -> str:
    """Names what decides on the bytes of the stored images; fit for the name of a folder."""
    return f"{VERSION}-pillow-{PIL.__version__}-{params.mode}-{params.size}-{params.animations}"
