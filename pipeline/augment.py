"""Random changes to whole batches of training images, each image's own a function of (seed, epoch, id)."""

import numpy as np
import torch
from torch import Tensor

from pipeline.order import FLIP, SHIFT_X, SHIFT_Y, UInt64s, uniform
from pipeline.params import Augment


def augment(images: Tensor, keys: UInt64s, params: Augment, *, seed: int, epoch: int) -> Tensor:
    """Shift, with the edge repeated, and mirror `images` of shape (n, channels, height, width), on their device."""
    height, width = images.shape[-2:]

    def offsets(purpose: int, side: int) -> Tensor:
        most = round(params.shift * side)
        share = uniform(keys, seed=seed, epoch=epoch, purpose=purpose)
        return torch.from_numpy(np.floor(share * (2 * most + 1)).astype(np.int64) - most)

    rows = (torch.arange(height) + offsets(SHIFT_Y, height)[:, None]).clamp(0, height - 1)
    columns = (torch.arange(width) + offsets(SHIFT_X, width)[:, None]).clamp(0, width - 1)
    if params.flip:
        mirrored = torch.from_numpy(uniform(keys, seed=seed, epoch=epoch, purpose=FLIP) < 0.5)
        columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    first = torch.arange(len(images))[:, None, None]
    rows, columns, first = (index.to(images.device) for index in (rows[:, :, None], columns[:, None, :], first))
    # Indexing on both sides of a slice moves the channels last; back they go, which is also the faster layout.
    return images[first, :, rows, columns].permute(0, 3, 1, 2)
