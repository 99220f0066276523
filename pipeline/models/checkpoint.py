"""Read checkpoints without running code from them, and build the trained networks that they contain."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from pydantic import ValidationError
from torch import Tensor

from pipeline.errors import COLD, CheckpointError
from pipeline.models.network import Network, Spec, build
from pipeline.param_types import is_own

CHECKPOINT = "checkpoint.ckpt"
# The keys of a checkpoint for the spec of its network, and for the network's response to a few noise images.
SPEC, RESPONSE = "spec", "response"
PROBES = 4
# Responses with a larger relative difference are those of another function; processors differ by about 1e-5.
OTHER_FUNCTION = 1e-2

EDITED_HINT = "run `dvc repro` to train with the current code, or check out the commit with the code that trained it"
HINT = f"undo what changed it (pipeline/models/network.py, or timm's version), run `dvc checkout`, or {COLD}"
OWN_HINT = f"undo that edit, or {COLD}"

Checkpoint = dict[str, Any]


def read_checkpoint(model: Path) -> Checkpoint:
    """Read the checkpoint of the model in the folder `model`.

    Raises:
        CheckpointError: the checkpoint is missing or damaged, or contains objects whose loading could run code.
    """
    path = model / CHECKPOINT
    try:
        with ZipFile(path) as file:
            damaged = file.testzip()  # PyTorch does not verify checksums.
        checkpoint = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(path, "no such file", "run `dvc checkout`") from None
    except pickle.UnpicklingError:
        what = "holds objects that could run code when they are loaded"
        raise CheckpointError(
            path, what, "do not trust where it comes from; run `dvc checkout` for the recorded one"
        ) from None
    except Exception as error:  # noqa: BLE001 (damaged bytes raise nearly anything)
        raise CheckpointError(path, f"damaged ({type(error).__name__})", "run `dvc checkout`") from None
    if not isinstance(checkpoint, dict):
        raise CheckpointError(path, "damaged, or no checkpoint", "run `dvc checkout`")
    return checkpoint


def spec_of(checkpoint: Checkpoint, where: Path) -> Spec:
    """Return the spec of the network in `checkpoint`, which was read from the folder `where`."""
    try:
        return Spec.model_validate(checkpoint[SPEC])
    except (KeyError, ValidationError):
        raise CheckpointError(where / CHECKPOINT, "does not record its network", COLD) from None


def read_network(model: Path, *, edited: bool = False) -> tuple[Network, Spec]:
    """Read the trained network in the folder `model`, in evaluation mode; for `edited` see `network_of`.

    Raises:
        CheckpointError: the checkpoint is missing or damaged, or its weights do not belong to the network that the
            code builds.
    """
    checkpoint = read_checkpoint(model)
    return network_of(checkpoint, model, edited=edited), spec_of(checkpoint, model)


def network_of(checkpoint: Checkpoint, where: Path, *, edited: bool = False) -> Network:
    """Build the trained network of `checkpoint`, which was read from the folder `where`, in evaluation mode.

    With `edited`, a network of the project's own code may compute another function than when it was trained.

    Raises:
        CheckpointError: the network that the code builds now has other weights, or responds differently to images.
    """
    spec = spec_of(checkpoint, where)
    network = build(spec)
    try:
        weights = {name.removeprefix("network."): value for name, value in checkpoint["state_dict"].items()}
        network.load_state_dict(weights)
    except (KeyError, AttributeError, TypeError, RuntimeError):
        what = f"does not contain the weights of {spec.model} as the code builds it now"
        if is_own(spec.model):
            raise CheckpointError(where / CHECKPOINT, f"{what}{_misfit(network, checkpoint)}", OWN_HINT) from None
        raise CheckpointError(where / CHECKPOINT, what, HINT) from None
    if (is_own(spec.model) and edited) or not is_other_function(network.eval(), checkpoint, spec):
        return network.eval()
    what = f"the code of {spec.model} no longer computes the function that was trained"
    raise CheckpointError(where / CHECKPOINT, what, EDITED_HINT if is_own(spec.model) else HINT)


def is_other_function(network: Network, checkpoint: Checkpoint, spec: Spec) -> bool:
    """Whether `network`, with the weights of `checkpoint`, responds differently than at the end of its training."""
    return RESPONSE in checkpoint and not _agree(respond(network, spec), checkpoint[RESPONSE])


def _misfit(network: Network, checkpoint: Checkpoint) -> str:
    """Describe the first weight whose shape differs between `network` and `checkpoint`, as the end of a sentence."""
    given, own = checkpoint.get("state_dict"), network.state_dict()
    if not isinstance(given, dict):
        return ""
    held = {name.removeprefix("network."): value for name, value in given.items()}
    for name in [*own, *held]:
        before, now = (
            f"has the shape {tuple(weights[name].shape)}" if name in weights else "is not there"
            for weights in (held, own)
        )
        if before != now:
            return f": {name.removeprefix('body.')} {before} in it, and {now} in the code"
    return ""


def respond(network: Network, spec: Spec) -> Tensor:
    """Return the logits of `network`, on the CPU in evaluation mode, for noise images: (`PROBES`, classes), float32.

    They reveal whether the code still computes the function that the weights were trained for.
    """
    with torch.inference_mode():
        response: Tensor = network(noise(spec, PROBES))
    return response.clone()


def noise(spec: Spec, count: int) -> Tensor:
    """Return noise images for the network of `spec`, with a fixed seed: shape (count, channels, size, size), uint8."""
    generator, channels = torch.Generator().manual_seed(0), 1 if spec.mode == "grey" else 3
    return torch.randint(0, 256, (count, channels, spec.size, spec.size), dtype=torch.uint8, generator=generator)


def _agree(response: Tensor, recorded: Tensor) -> bool:
    return bool(torch.linalg.norm(response - recorded) <= OTHER_FUNCTION * torch.linalg.norm(recorded))


def grow(old: Tensor, like: Tensor) -> Tensor:
    """Return `old`, extended by the further rows of `like`; all other dimensions must be equal."""
    return torch.cat([old, like[len(old) :].to(old)]) if old.dim() and len(old) < len(like) else old


def canonical(value: Any) -> Any:
    """Return `value`, of the types in a checkpoint, in a form in which equal values are pickled to equal bytes.

    Pickle writes an object once but two equal objects twice, so its bytes depend on whether two equal strings are the
    same object. That changes when an interrupted training is resumed. Pickle also writes the memory layout of a tensor,
    which differs after training on a GPU.
    """
    if isinstance(value, dict):
        return {canonical(key): canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(canonical(item) for item in value)
    if isinstance(value, str):
        return sys.intern(value)
    return value.clone(memory_format=torch.contiguous_format) if isinstance(value, Tensor) else value
