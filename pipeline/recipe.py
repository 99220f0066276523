"""How images are made of files: other parameters or other code make other bytes of all of them."""

import hashlib
import inspect

from pipeline import images, memory, phash
from pipeline.params import Ingest


def recipe_of(params: Ingest) -> str:
    """Names the parameters and the code that decide on the bytes of the stored images."""
    made_by = "".join(inspect.getsource(module) for module in (images, memory, phash))
    return hashlib.md5(f"{params.mode} {params.size} {params.animations} {made_by}".encode()).hexdigest()
