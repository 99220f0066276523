"""Checkpoints: reading one without running code in it, and turning one into the start of the next generation."""

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
# The keys under which a checkpoint says what network it is of, and what that makes of a few images of noise.
SPEC, RESPONSE = "spec", "response"
PROBES = 4
# Above this, relative to the response, another function answered; processors differ by a hundred-thousandth.
OTHER_FUNCTION = 1e-2

EDITED_HINT = "run `dvc repro` to train by the code of now, or check out the commit that has the code of then"
HINT = f"undo what changed it (pipeline/models/network.py, or timm's version), run `dvc checkout`, or {COLD}"
OWN_HINT = f"undo that edit, or {COLD}"

Checkpoint = dict[str, Any]


def read_checkpoint(model: Path) -> Checkpoint:
    """The checkpoint of the model in the folder `model`.

    Raises:
        CheckpointError: it is damaged, or holds objects whose loading could run code.
    """
    path = model / CHECKPOINT
    try:
        with ZipFile(path) as file:
            damaged = file.testzip()  # PyTorch looks at no checksum.
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
    """What network `checkpoint`, read from the folder `where`, is of."""
    try:
        return Spec.model_validate(checkpoint[SPEC])
    except (KeyError, ValidationError):
        raise CheckpointError(where / CHECKPOINT, "does not say what network it is of", COLD) from None


def read_network(model: Path, *, edited: bool = False) -> tuple[Network, Spec]:
    """The trained network in the folder `model`, ready to predict; `edited` as for `network_of`.

    Raises:
        CheckpointError: it is damaged, or its weights are of another network than it says.
    """
    checkpoint = read_checkpoint(model)
    return network_of(checkpoint, model, edited=edited), spec_of(checkpoint, model)


def network_of(checkpoint: Checkpoint, where: Path, *, edited: bool = False) -> Network:
    """The trained network of `checkpoint`, read from the folder `where`, ready to predict.

    Where it is built by the project's own code, and `edited`, that may compute something else by now.

    Raises:
        CheckpointError: its weights are of another network than the code builds now, by their shapes or by what it
            makes of images.
    """
    spec = spec_of(checkpoint, where)
    network = build(spec)
    try:
        weights = {name.removeprefix("network."): value for name, value in checkpoint["state_dict"].items()}
        network.load_state_dict(weights)
    except (KeyError, AttributeError, TypeError, RuntimeError):
        what = f"does not hold the weights of {spec.model} as the code builds it now"
        if is_own(spec.model):
            raise CheckpointError(where / CHECKPOINT, f"{what}{_misfit(network, checkpoint)}", OWN_HINT) from None
        raise CheckpointError(where / CHECKPOINT, what, HINT) from None
    if (is_own(spec.model) and edited) or not is_other_function(network.eval(), checkpoint, spec):
        return network.eval()
    what = f"was trained as another function than {spec.model} is in the code now"
    raise CheckpointError(where / CHECKPOINT, what, EDITED_HINT if is_own(spec.model) else HINT)


def is_other_function(network: Network, checkpoint: Checkpoint, spec: Spec) -> bool:
    """Whether `network`, with the weights of `checkpoint`, answers otherwise than it did when it had been trained."""
    return RESPONSE in checkpoint and not _agree(respond(network, spec), checkpoint[RESPONSE])


def _misfit(network: Network, checkpoint: Checkpoint) -> str:
    """Which weight of `network` is another one than in `checkpoint`, in half a sentence."""
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
    """What `network`, on the CPU and ready to predict, makes of images of noise: shape (`PROBES`, classes), float32.

    Whether code computes the function that weights were trained for shows in this, and in nothing that can be read.
    """
    with torch.inference_mode():
        response: Tensor = network(noise(spec, PROBES))
    return response.clone()


def noise(spec: Spec, count: int) -> Tensor:
    """Images of noise for the network of `spec`, always the same: shape (count, channels, size, size), uint8."""
    generator, channels = torch.Generator().manual_seed(0), 1 if spec.mode == "grey" else 3
    return torch.randint(0, 256, (count, channels, spec.size, spec.size), dtype=torch.uint8, generator=generator)


def _agree(response: Tensor, recorded: Tensor) -> bool:
    return bool(torch.linalg.norm(response - recorded) <= OTHER_FUNCTION * torch.linalg.norm(recorded))


def grow(old: Tensor, like: Tensor) -> Tensor:
    """`old` with the rows that `like` has beyond it, whose shapes are otherwise the same."""
    return torch.cat([old, like[len(old) :].to(old)]) if old.dim() and len(old) < len(like) else old


def canonical(value: Any) -> Any:
    """`value`, of the types that a checkpoint is made of, so that equal ones are written as equal bytes.

    Pickle writes one object once and two equal ones twice, so bytes tell of two strings whether they were one, which a
    training that was interrupted and loaded in between changes. It writes the layout of a tensor, too, which is another
    one where a GPU has trained.
    """
    if isinstance(value, dict):
        return {canonical(key): canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(canonical(item) for item in value)
    if isinstance(value, str):
        return sys.intern(value)
    return value.clone(memory_format=torch.contiguous_format) if isinstance(value, Tensor) else value
