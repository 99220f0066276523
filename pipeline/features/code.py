"""Hashes of the code that computes features; they are part of the cache keys, so an edit makes features recomputed.

The features of noise images reveal most edits, but not all: unlike photographs, noise may stay below some threshold.
"""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline.files import md5_of_bytes, md5_of_file
from pipeline.models.network import TIMM
from pipeline.param_types import is_own
from pipeline.versioning.hashing import path_hash
from pipeline.versioning.own_code.closure import closure
from pipeline.versioning.own_code.listing import listed_by_hand

RELEASE = Path(__file__).parent.parent


def code_of_network(model: str) -> str:
    """Return the hash of the code that builds `model` (the param `train.model`), and of the files this code may read.

    Raises:
        ParamError: the model is the project's own code, and one of its files is missing or is not valid Python.
    """
    packages = ["torch", *(["timm"] if model.startswith(TIMM) else [])]
    return _hash(
        ["models", "features"], packages, sorted({*closure(model), *listed_by_hand()}) if is_own(model) else []
    )


def code_of_views() -> str:
    """Return the hash of the code that augments images."""
    return _hash(["training/augmentation", "training/drawing"], ["torch", "kornia"], [])


def _hash(folders: list[str], packages: list[str], files: list[str]) -> str:
    ours = [path for folder in folders for path in sorted((RELEASE / folder).glob("*.py"))]
    found = [f"{path.relative_to(RELEASE)} {md5_of_file(path)}" for path in ours]
    found += [f"{package} {_version(package)}" for package in packages]
    found += [f"{file} {path_hash(Path(file))}" for file in files]
    return md5_of_bytes("\n".join(found).encode())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
