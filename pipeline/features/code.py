"""The code that features are made by, as a hash that is part of their names: after an edit they are computed again.

What a backbone makes of noise tells most edits, but not all: noise, unlike photographs, may stay below a limit, say.
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
    """Of the code that the network `model`, the param `train.model`, is made of, and of what else that may read.

    Raises:
        ParamError: it is the project's own, and a file of it is not there, or not Python.
    """
    packages = ["torch", *(["timm"] if model.startswith(TIMM) else [])]
    return _hash(
        ["models", "features"], packages, sorted({*closure(model), *listed_by_hand()}) if is_own(model) else []
    )


def code_of_views() -> str:
    """Of the code that changes images at random."""
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
