"""Inference with a trained network: from pixels to a probability for each class."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from tqdm import tqdm

from pipeline import paths
from pipeline.errors import CheckpointError, MissingDataError
from pipeline.features.backbone import Backbone, Features, has_features
from pipeline.features.source import FeatureSource
from pipeline.images.dataset import pixels_of
from pipeline.images.pixel_source import Located, PixelSource, in_batches
from pipeline.images.pixels import Pixels
from pipeline.models.checkpoint import CHECKPOINT, read_network
from pipeline.models.device import device, to_device
from pipeline.models.features import head_of, look
from pipeline.models.layers import BACKBONE
from pipeline.models.network import Network, Spec
from pipeline.param_types import is_own
from pipeline.params import Compute, Params
from pipeline.versioning.lock import read_record

Shares = npt.NDArray[np.float64]

# The features of no images.
_NOTHING = np.empty((0, 0), np.float32)


def require(model: Path) -> None:
    """Check that the folder `model` contains a model.

    Raises:
        MissingDataError: it does not.
    """
    if (model / CHECKPOINT).exists():
        return
    if model != paths.MODEL:
        hint = "check the path"
    elif "train" in read_record():
        hint = f"run `dvc pull {paths.MODEL}`, or `dvc repro` to train it again"
    else:
        hint = "run `dvc repro`, which trains one"
    raise MissingDataError(model, "no model there", hint)


class Looked(NamedTuple):
    """A model's outputs for n images."""

    probabilities: pd.DataFrame
    """One row for each image, one column for each class."""
    features: Features
    """The inputs of the model's last layer, shape (n, features)."""
    images: PixelSource
    """The images, as the model's input."""


@dataclass(frozen=True)
class Trained:
    """A trained network on a device."""

    network: Network
    spec: Spec
    where: torch.device

    @classmethod
    def read(cls, model: Path, compute: Compute, *, folded: bool = True, edited: bool = False) -> Self:
        """Load the network in the folder `model` onto the device of `compute`; `edited` is passed to `network_of`.

        Raises:
            CheckpointError: there is no checkpoint, or it is damaged.
        """
        network, spec = read_network(model, edited=edited)
        where = device(compute)
        if folded and not is_own(spec.model):  # Custom code may call single layers of a sequence.
            fold(network)
        network.to(where).to(memory_format=torch.channels_last)  # The layout of the inputs.
        # Some versions of PyTorch need this for deterministic results on a GPU.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # `use_deterministic_algorithms` does the same, but imports torch's compiler, which takes seconds.
        torch.set_deterministic_debug_mode("error")
        return cls(network, spec, where)

    def probabilities(self, images: Pixels) -> Shares:
        """Return the probability of each class: from images, shape (n, channels, size, size), to shape (n, classes).

        Raises:
            CheckpointError: the model's outputs have a wrong shape, or are not finite.
        """
        return self.look(images)[0]

    def look(self, images: Pixels) -> tuple[Shares, Features]:
        """Return the probability of each class, shape (n, classes), and the features, shape (n, features).

        Raises:
            CheckpointError: the model's outputs have a wrong shape, or are not finite.
        """
        with torch.inference_mode():
            seen = look(self.network, to_device(torch.from_numpy(images), self.where))
            if seen.logits.shape != (wanted := (len(images), len(self.spec.classes))):
                what = f"{self.spec.model} gives {tuple(seen.logits.shape)} for them, and not logits of shape {wanted}"
                raise CheckpointError(f"{len(images)} images", what, "let each image have logits of its own")
            return probabilities_of(seen.logits), seen.features.cpu().numpy()

    def decide(self, features: Features) -> tuple[Shares, Features]:
        """Return the same as `look`, but from images' `features`, shape (n, features).

        Raises:
            CheckpointError: a probability is not finite.
        """
        with torch.inference_mode():
            head = head_of(self.network)
            assert head is not None, "features are those of a head"
            logits = head(to_device(torch.from_numpy(features), self.where))
            return probabilities_of(logits.float()), features


def probabilities_of(logits: Tensor) -> Shares:
    """Return the probability of each class from `logits`, both of shape (n, classes).

    Raises:
        CheckpointError: a probability is not finite, so the weights are damaged.
    """
    # In double precision, so that the rows sum to 1 as exactly as scikit-learn requires.
    shares: Shares = logits.double().softmax(1).cpu().numpy()
    if not np.isfinite(shares).all():
        raise CheckpointError(CHECKPOINT, "gives probabilities that are not numbers", "run `dvc checkout`")
    return shares


def predict(model: Path, found: Located, params: Params) -> pd.DataFrame:
    """Return the class probabilities of the model in the folder `model`: a row for each image, a column for each class.

    Raises:
        CheckpointError: there is no model, or it is damaged.
        ImagesError: an image is damaged.
    """
    return look_at(model, [found], params)[0].probabilities


def look_at(model: Path, parts: Sequence[Located], params: Params, *, edited: bool = False) -> list[Looked]:
    """Return the outputs of the model in the folder `model` for each of `parts`; `edited` is passed to `network_of`.

    Raises:
        CheckpointError: there is no model, or it is damaged.
        ImagesError: an image is damaged.
    """
    is_kept = params.train.freeze == BACKBONE
    trained = Trained.read(model, params.compute, folded=not is_kept, edited=edited)
    spec = trained.spec
    # One batch size and no folding, so that the features are bit-identical to those that the head was trained on.
    backbone = Backbone(trained.network, spec) if is_kept and has_features(trained.network, spec) else None
    found = []
    for part in parts:
        images = pixels_of(part, mode=spec.mode, size=spec.source, framing=spec.framing, compute=params.compute)
        batches = in_batches(np.arange(len(images)), params.compute.batch_size)
        chunks: Iterator[tuple[Shares, Features]]
        if backbone is None:
            chunks = map(trained.look, images.batches(batches))
        else:
            source = FeatureSource(images, backbone, limit=params.compute.features * 2**20)
            asked = ((batch, np.zeros(len(batch), np.intp)) for batch in batches)
            chunks = map(trained.decide, source.batches(asked))
        bar = tqdm(chunks, f"predicting with {model}", len(batches), disable=None if batches else True)
        shares, features = zip(*bar, strict=True) if batches else ([np.empty((0, len(spec.classes)))], [_NOTHING])
        probabilities = pd.DataFrame(np.concatenate(shares), columns=list(spec.classes))
        found.append(Looked(probabilities, np.concatenate(features), images))
    return found


def fold(network: nn.Module) -> None:
    """Fuse each convolution with the batch normalisation that follows it in an `nn.Sequential`.

    Only an `nn.Sequential` runs its layers in the order in which it lists them. The outputs change only by rounding.
    `network` must be in evaluation mode, and cannot be trained afterwards.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            _fold_neighbours(module)


def _fold_neighbours(sequence: nn.Sequential) -> None:
    for place, (first, second) in enumerate(pairwise(list(sequence))):
        # No subclasses: timm has normalisation layers that also apply an activation, and convolutions that change their
        # weights first. A normalisation without running statistics uses those of the batch, so it cannot be fused.
        if type(first) is nn.Conv2d and type(second) is nn.BatchNorm2d and second.running_mean is not None:
            sequence[place], sequence[place + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
