"""The initial weights of a cold start: random, published, or from a file in data/weights.

Files are read without running code. Published weights are stored in the model's folder: retraining the model, by
`pipeline replay` or with other params, uses the same weights and needs no internet connection.
"""

import os
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import torch
from pydantic import ValidationError
from torch import Tensor

from pipeline import paths
from pipeline.errors import CheckpointError, MissingDataError
from pipeline.files import md5_of_file
from pipeline.models.checkpoint import CHECKPOINT, SPEC
from pipeline.models.fitting import Fit, fit_into
from pipeline.models.network import TIMM, Network, Spec, build
from pipeline.text import short
from pipeline.versioning import fetching
from pipeline.versioning.lock import read_record

# The file in a model's folder with the published weights that its training started from.
PUBLISHED = "pretrained.pt"
# Keys under which training scripts save the weights; averaged weights are preferred.
NESTED = ("state_dict_ema", "model_ema", "state_dict", "model")

OTHER = "put another file there, or set train.pretrained to false"


class Loaded(NamedTuple):
    """The loaded initial weights of a network."""

    source: str
    """Where the weights come from: a path, or a description of the published weights."""
    md5: str
    """MD5 of the file."""
    fit: Fit

    def __str__(self) -> str:
        return f"begins with {self.source} ({short(self.md5)}), {self.fit}"


def begin(spec: Spec, pretrained: bool | str, folder: Path) -> tuple[Network, Loaded | None]:  # noqa: FBT001
    """Build the network of `spec`; `pretrained`: False for random weights, True for published ones, or a path.

    The path is relative to data/weights. Published weights are also written to `folder`, from which an interrupted
    training reads them when it resumes.

    Raises:
        CheckpointError: the file is damaged, could run code, or belongs to another network.
        ParamError: the published weights are not available.
    """
    if isinstance(pretrained, str):
        network = build(spec)
        return network, load(network, spec, paths.WEIGHTS / pretrained)
    if not pretrained or not spec.model.startswith(TIMM):
        return build(spec), None
    kept = folder / PUBLISHED
    known = kept if kept.exists() else _recorded(spec)
    network = build(spec, pretrained=known is None)
    if known is not None:
        load(network, spec, known)
    weights = {f"network.{name}": value for name, value in network.state_dict().items()}
    part = kept.with_suffix(f".{os.getpid()}")  # Processes that train together all write this file.
    torch.save({SPEC: spec.as_kept(), "state_dict": weights}, part)
    part.replace(kept)
    tensors = len(network.body.state_dict())
    return network, Loaded(f"the published weights of {spec.model}", md5_of_file(kept), Fit(tensors, tensors, 0))


def keep_published(folder: Path, model: Path) -> None:
    """Copy the published weights from `folder`, if there are any, into the folder of the `model`."""
    if (folder / PUBLISHED).exists():
        shutil.copyfile(folder / PUBLISHED, model / PUBLISHED)


def load(network: Network, spec: Spec, path: Path) -> Loaded:
    """Load the weights of `path`, a file or a model's folder, into the untrained `network` of `spec`.

    Raises:
        CheckpointError: the file is damaged, could run code, or belongs to another network.
    """
    file = path / CHECKPOINT if path.is_dir() else path
    content = _read(file)
    weights = _tensors(next((content[key] for key in NESTED if isinstance(content.get(key), Mapping)), content))
    with torch.no_grad():
        fit = fit_into(network, spec, weights, _classes(content))
    if 2 * fit.fitted < fit.among:
        what = f"does not fit {spec.model}: it has {fit}"
        raise CheckpointError(file, what, "set train.model to its network, or train.pretrained to false")
    if not all(torch.isfinite(value).all() for value in network.state_dict().values()):
        raise CheckpointError(file, "holds weights that are not finite", OTHER)
    return Loaded(str(path), md5_of_file(file), fit)


def _recorded(spec: Spec) -> Path | None:
    """Return the file of published weights of the model in dvc.lock.

    None if that model was not trained from the published weights of `spec`, or if the file is not available.
    """
    train = read_record().get("train")
    asked = {"train.model": spec.model, "train.pretrained": True, "ingest.mode": spec.mode}
    if train is None or any(train.params.get(name) != value for name, value in asked.items()):
        return None
    what = f"{PUBLISHED} of the recorded model"
    try:
        return fetching.fetch_member(train.outs[paths.MODEL.as_posix()], PUBLISHED, what=what, hint="")
    except MissingDataError:
        return None


def _read(file: Path) -> dict[str, Any]:
    """Read the content by name of `file`, in the format of safetensors or PyTorch, without running code from it."""
    try:
        with file.open("rb") as opened:
            opening = opened.read(9)
        content = _read_safetensors(file) if opening[8:] == b"{" else _read_pytorch(file, opening)
    except FileNotFoundError:
        raise CheckpointError(file, "no such file", "put it there, or run `dvc pull`") from None
    except pickle.UnpicklingError:
        hint = "do not trust where it comes from; where it is yours, save the model's state_dict() alone"
        raise CheckpointError(file, "holds objects that could run code when they are loaded", hint) from None
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 (damaged bytes raise nearly anything)
        raise CheckpointError(file, f"damaged ({type(error).__name__})", OTHER) from None
    if not isinstance(content, dict):
        raise CheckpointError(file, "holds no weights by name", "save the model's state_dict()")
    return content


def _read_safetensors(file: Path) -> Any:
    try:
        from safetensors.torch import load_file
    except ModuleNotFoundError:
        raise CheckpointError(file, "safetensors is not installed", "run `pip install safetensors`") from None
    return load_file(file)


def _read_pytorch(file: Path, opening: bytes) -> Any:
    if not opening.startswith((b"PK", b"\x80")):
        raise CheckpointError(file, "neither of safetensors nor of PyTorch", OTHER)
    if opening.startswith(b"PK"):
        with ZipFile(file) as archive:
            if archive.testzip():  # PyTorch does not verify checksums.
                raise CheckpointError(file, "damaged", OTHER)
    return torch.load(file, map_location="cpu", weights_only=True)


def _classes(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the classes of the head, which only checkpoints of this pipeline record; else an empty tuple."""
    try:
        return Spec.model_validate(content[SPEC]).classes
    except (KeyError, ValidationError):
        return ()


def _tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Return the dense tensors in `content` whose storage is as large as their shape requires."""
    return {
        str(name): value
        for name, value in content.items()
        if isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.nbytes <= value.untyped_storage().nbytes()
    }
