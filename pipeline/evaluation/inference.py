"""A trained network on the device that computes: from pixels to a probability for each class."""

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
    """Make sure that there is a model in the folder `model`.

    Raises:
        MissingDataError: there is none.
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
    """What a model makes of n images."""

    probabilities: pd.DataFrame
    """A row an image, a column a class."""
    features: Features
    """The inputs of its last layer, shape (n, features)."""
    images: PixelSource
    """As it saw them."""


@dataclass(frozen=True)
class Trained:
    """A trained network."""

    network: Network
    spec: Spec
    where: torch.device

    @classmethod
    def read(cls, model: Path, compute: Compute, *, folded: bool = True, edited: bool = False) -> Self:
        """The network in the folder `model`, on the device that `compute` names; `edited` as for `network_of`.

        Raises:
            CheckpointError: there is none, or it is damaged.
        """
        network, spec = read_network(model, edited=edited)
        where = device(compute)
        if folded and not is_own(spec.model):  # Whose code may use a layer of a sequence by itself.
            fold(network)
        network.to(where).to(memory_format=torch.channels_last)  # The layout that its inputs come in.
        # Some versions of PyTorch refuse to be deterministic on a GPU without it.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # `use_deterministic_algorithms` would do the same, and import torch's compiler, which takes seconds.
        torch.set_deterministic_debug_mode("error")
        return cls(network, spec, where)

    def probabilities(self, images: Pixels) -> Shares:
        """The probability of each class: images of shape (n, channels, size, size) to shape (n, classes).

        Raises:
            CheckpointError: one is not a number, so that the weights cannot be a model's.
        """
        return self.look(images)[0]

    def look(self, images: Pixels) -> tuple[Shares, Features]:
        """The same, and the features: shape (n, features).

        Raises:
            CheckpointError: likewise.
        """
        with torch.inference_mode():
            seen = look(self.network, to_device(torch.from_numpy(images), self.where))
            if seen.logits.shape != (wanted := (len(images), len(self.spec.classes))):
                what = f"{self.spec.model} gives {tuple(seen.logits.shape)} for them, and not logits of shape {wanted}"
                raise CheckpointError(f"{len(images)} images", what, "let each image have logits of its own")
            return probabilities_of(seen.logits), seen.features.cpu().numpy()

    def decide(self, features: Features) -> tuple[Shares, Features]:
        """The same of `features` of images, shape (n, features), which it gives back.

        Raises:
            CheckpointError: likewise.
        """
        with torch.inference_mode():
            head = head_of(self.network)
            assert head is not None, "features are those of a head"
            logits = head(to_device(torch.from_numpy(features), self.where))
            return probabilities_of(logits.float()), features


def probabilities_of(logits: Tensor) -> Shares:
    """The probability of each class, of the same shape as `logits`: (n, classes).

    Raises:
        CheckpointError: one is not a number, so that the weights cannot be a model's.
    """
    # In double precision the rows sum to 1 as exactly as scikit-learn wants.
    shares: Shares = logits.double().softmax(1).cpu().numpy()
    if not np.isfinite(shares).all():
        raise CheckpointError(CHECKPOINT, "gives probabilities that are no numbers", "run `dvc checkout`")
    return shares


def predict(model: Path, found: Located, params: Params) -> pd.DataFrame:
    """The probability that the model in the folder `model` gives each class: a row an image, a column a class.

    Raises:
        CheckpointError: there is no model, or it is damaged.
        ImagesError: an image was damaged.
    """
    return look_at(model, [found], params)[0].probabilities


def look_at(model: Path, parts: Sequence[Located], params: Params, *, edited: bool = False) -> list[Looked]:
    """What the model in the folder `model` makes of the images of each of `parts`; `edited` as for `network_of`.

    Raises:
        CheckpointError: there is no model, or it is damaged.
        ImagesError: an image was damaged.
    """
    is_kept = params.train.freeze == BACKBONE
    trained = Trained.read(model, params.compute, folded=not is_kept, edited=edited)
    spec = trained.spec
    # Of one batch size, and so not folded: the same bits as those that the head was trained on.
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
    """Make one step of each convolution and the normalisation that follows it, where `network` says that it does.

    That is in `nn.Sequential`, which computes in the order that it lists. The outputs stay the same but for rounding.
    `network` must be in evaluation mode; it cannot be trained any more.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            _fold_neighbours(module)


def _fold_neighbours(sequence: nn.Sequential) -> None:
    for place, (first, second) in enumerate(pairwise(list(sequence))):
        # Not what inherits from them: timm has normalisations that apply an activation, too, and convolutions that
        # change their weights first. And one that keeps no statistics takes those of the batch.
        if type(first) is nn.Conv2d and type(second) is nn.BatchNorm2d and second.running_mean is not None:
            sequence[place], sequence[place + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
