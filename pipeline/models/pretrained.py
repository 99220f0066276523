"""What a cold start begins with: weights drawn by the seed, published ones, or those of a file in data/weights.

A file is read without running code. Published weights are kept in the model that begins with them: who trains it again,
by `pipeline replay` or with other params, needs no network, and gets the same ones.
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

# The file of a model that holds the published weights that it began with.
PUBLISHED = "pretrained.pt"
# Where training scripts put the weights in what they save; the averaged ones first.
NESTED = ("state_dict_ema", "model_ema", "state_dict", "model")

OTHER = "put another file there, or set train.pretrained to false"


class Loaded(NamedTuple):
    """Weights that a network begins with."""

    source: str
    """Where they come from: a path, or the name under which they are published."""
    md5: str
    """Of the file."""
    fit: Fit

    def __str__(self) -> str:
        return f"begins with {self.source} ({short(self.md5)}), {self.fit}"


def begin(spec: Spec, pretrained: bool | str, folder: Path) -> tuple[Network, Loaded | None]:  # noqa: FBT001
    """The network of `spec`, its weights drawn by PyTorch's generator or `pretrained`: published, or a path's.

    Published ones are written to `folder`, where a training that was interrupted finds them again.

    Raises:
        CheckpointError: the file is damaged, could run code, or is of another network.
        ParamError: the published weights cannot be had.
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
    part = kept.with_suffix(f".{os.getpid()}")  # Others may train along, and write the same.
    torch.save({SPEC: spec.as_kept(), "state_dict": weights}, part)
    part.replace(kept)
    tensors = len(network.body.state_dict())
    return network, Loaded(f"the published weights of {spec.model}", md5_of_file(kept), Fit(tensors, tensors, 0))


def keep_published(folder: Path, model: Path) -> None:
    """Keep in the folder of a `model` the published weights in `folder` that it began with, if it did."""
    if (folder / PUBLISHED).exists():
        shutil.copyfile(folder / PUBLISHED, model / PUBLISHED)


def load(network: Network, spec: Spec, path: Path) -> Loaded:
    """Put the weights of `path`, a file or a model's folder, into the untrained `network` of `spec`.

    Raises:
        CheckpointError: it is damaged, could run code, or is of another network.
    """
    file = path / CHECKPOINT if path.is_dir() else path
    content = _read(file)
    weights = _tensors(next((content[key] for key in NESTED if isinstance(content.get(key), Mapping)), content))
    with torch.no_grad():
        fit = fit_into(network, spec, weights, _classes(content))
    if 2 * fit.fitted < fit.among:
        what = f"is not of {spec.model}: it has {fit}"
        raise CheckpointError(file, what, "set train.model to the network that it is of, or train.pretrained to false")
    if not all(torch.isfinite(value).all() for value in network.state_dict().values()):
        raise CheckpointError(file, "holds weights that are not finite", OTHER)
    return Loaded(str(path), md5_of_file(file), fit)


def _recorded(spec: Spec) -> Path | None:
    """The published weights that dvc.lock records its model to have begun with, if that is such a one, and at hand."""
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
    """What `file`, of safetensors or PyTorch, holds by name; no code in it is run."""
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
            if archive.testzip():  # PyTorch looks at no checksum.
                raise CheckpointError(file, "damaged", OTHER)
    return torch.load(file, map_location="cpu", weights_only=True)


def _classes(content: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes of the head, where `content` is a checkpoint of ours, which says them."""
    try:
        return Spec.model_validate(content[SPEC]).classes
    except (KeyError, ValidationError):
        return ()


def _tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The weights in `content`, without what takes less memory than it says."""
    return {
        str(name): value
        for name, value in content.items()
        if isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.nbytes <= value.untyped_storage().nbytes()
    }
