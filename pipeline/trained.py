"""A trained network on the device that computes: from pixels to probabilities."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from pipeline import paths
from pipeline.checkpoint import CHECKPOINT, read_network
from pipeline.device import device
from pipeline.errors import CheckpointError, MissingDataError
from pipeline.folding import fold
from pipeline.model import Network, Spec
from pipeline.params import Compute
from pipeline.reading import Pixels
from pipeline.record import read_record


def require(model: Path) -> None:
    """Make sure that there is a model in the folder `model`.

    Raises:
        MissingDataError: there is none.
    """
    if (model / CHECKPOINT).exists():
        return
    if model != paths.MODEL:
        mend = "check the path"
    elif "train" in read_record():
        mend = f"run `dvc pull {paths.MODEL}`, or `dvc repro` to train it again"
    else:
        mend = "run `dvc repro`, which trains one"
    raise MissingDataError(model, "no model there", mend)


@dataclass(frozen=True)
class Trained:
    """A trained network, folded."""

    network: Network
    spec: Spec
    where: torch.device

    @classmethod
    def read(cls, model: Path, compute: Compute) -> Self:
        """The network in the folder `model`, on the device that `compute` names.

        Raises:
            CheckpointError: there is none, or it is damaged.
        """
        network, spec = read_network(model)
        where = device(compute)
        fold(network)
        network.to(where).to(memory_format=torch.channels_last)  # The layout that its inputs come in.
        # Some versions of PyTorch refuse to be deterministic on a GPU without it.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(mode=True)
        return cls(network, spec, where)

    def probabilities(self, images: Pixels) -> npt.NDArray[np.float64]:
        """The probability of each class: images of shape (n, channels, size, size) to shape (n, classes).

        Raises:
            CheckpointError: one is not a number, so that the weights cannot be a model's.
        """
        with torch.inference_mode():
            # In double precision the rows sum to 1 as exactly as scikit-learn wants.
            logits = self.network(torch.from_numpy(images).to(self.where)).double()
            shares: npt.NDArray[np.float64] = logits.softmax(1).cpu().numpy()
        if not np.isfinite(shares).all():
            raise CheckpointError(CHECKPOINT, "gives probabilities that are no numbers", "run `dvc checkout`")
        return shares
