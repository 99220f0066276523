"""Random changes to whole batches of training images, each image's own a function of (seed, epoch, id)."""

import numpy as np
import torch
from torch import Tensor

from pipeline.params import Augment
from pipeline.training.randomness import FLIP, SHIFT_X, SHIFT_Y, UInt64s, uniform


def augment(images: Tensor, keys: UInt64s, params: Augment, *, seed: int, epochs: UInt64s) -> Tensor:
    """Shift, with the edge repeated, and mirror `images` of shape (n, channels, height, width), on their device.

    `epochs` says for the how many-eth time each is drawn, shape (n,).
    """
    count, channels, height, width = images.shape
    if not count:
        return images

    def offsets(purpose: int, most: int) -> Tensor:
        share = uniform(keys, seed=seed, epoch=epochs, purpose=purpose)
        return torch.from_numpy(np.floor(share * (2 * most + 1)).astype(np.int64) - most)[:, None, None]

    most = round(params.shift * width)
    left, right = (images[..., [column]].expand(-1, -1, -1, most) for column in (0, width - 1))
    padded = torch.cat([left, images, right], 3)
    # Each line of the result is a piece of the padded images, found by where it begins in them.
    rows = (torch.arange(height) + offsets(SHIFT_Y, round(params.shift * height))).clamp(0, height - 1)
    first = height * torch.arange(count * channels).view(count, channels, 1)
    begins = (first + rows) * padded.shape[3] + offsets(SHIFT_X, most) + most
    lines = padded.view(-1).unfold(0, width, 1).index_select(0, begins.view(-1).to(images.device))
    shifted = lines.view(images.shape)
    if params.flip:
        mirrored = torch.from_numpy(uniform(keys, seed=seed, epoch=epochs, purpose=FLIP) < 0.5).to(images.device)
        shifted = torch.where(mirrored[:, None, None, None], shifted.flip(3), shifted)
    return shifted
