"""Batches: the images of a step and their weights; a step may be computed in parts and on several devices.

The loss of a step is the sum of its images' losses, weighted by their classes, divided by the sum of these weights. So
each part of a step is weighted by its share of that sum, regardless of how the step was split.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor


class Other(NamedTuple):
    """The images that the images of a batch are mixed with."""

    targets: Tensor
    """Classes of the other images, shape (n,), int64."""
    own: Tensor
    """Share of the original image in each mixed one, shape (n,), float32."""
    weights: Tensor | None = None
    """Weights of the other images, shape (n,), float32; None if all are equal."""


class Batch(NamedTuple):
    """Images and classes of a step, or of a part of it."""

    images: Tensor
    """Shape (n, channels, height, width), uint8; or their features, shape (n, features), float32."""
    targets: Tensor
    """Positions in the list of classes, shape (n,), int64."""
    share: Tensor
    """Weight of this part's mean loss in the mean over all parts, 1 for equal parts; shape (), float32."""
    other: Other | None = None
    """The images mixed into these, if any."""
    weights: Tensor | None = None
    """Weight of each image, 1 on average over all training images, shape (n,), float32; None if all are equal."""

    def between(self, first: int, last: int) -> "Batch":
        """Return the part with the images from `first` to `last`, exclusive; its `share` is unchanged."""

        def cut(value: Tensor | None) -> Tensor | None:
            return None if value is None else value[first:last]

        other = self.other and Other(
            self.other.targets[first:last], self.other.own[first:last], cut(self.other.weights)
        )
        return Batch(self.images[first:last], self.targets[first:last], self.share, other, cut(self.weights))


def class_weights(images: Tensor, balance: float) -> Tensor:
    """Return the weight of each class in the loss, shape (classes,), float32; 1 on average over the images.

    The weight of a class with n images is proportional to n ** −balance; that of a class without images is 0. If
    images have weights, n is the sum of these weights.
    """
    weights = torch.where(images > 0, images.double().clamp(min=torch.finfo().tiny) ** -balance, 0.0)
    return (weights * images.sum() / (weights * images).sum()).float()


def counted(batch: Batch, weights: Tensor) -> Tensor:
    """Return the sum of the class `weights`, shape (classes,), over the images of `batch`: the divisor of its loss.

    The result has shape ().
    """
    own = weights[batch.targets]
    if batch.other is None:
        return own.sum()
    targets, share, _ = batch.other
    return (share * own + (1 - share) * weights[targets]).sum()


def in_parts(batch: Batch, parts: int) -> list[Batch]:
    """Split `batch` into `parts` parts of nearly equal size, none of a single image, which batch norm cannot handle.

    If there are too few images, the first parts are empty, and not the last one, after which devices synchronise.
    """
    count = len(batch.images)
    full = max(1, min(parts, count // 2))
    bounds = [0] * (parts - full) + [count * number // full for number in range(full + 1)]
    return [batch.between(first, last) for first, last in pairwise(bounds)]
