"""Batches: the images of a step, which may be computed in parts and on several devices, and how much they count.

The loss of a step is the sum of its images' losses, weighted by their classes, divided by the sum of these weights. So
a part of it counts as its share of that sum, however it was cut.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor


class Other(NamedTuple):
    """What else is in the images of a batch."""

    targets: Tensor
    """Classes of the other images, shape (n,), int64."""
    own: Tensor
    """Share of an image that is its own, shape (n,), float32."""
    weights: Tensor | None = None
    """How much the other images count, shape (n,), float32; None if all alike."""


class Batch(NamedTuple):
    """Images and their classes: of a step, or of a part of it."""

    images: Tensor
    """Shape (n, channels, height, width), uint8; or their features, shape (n, features), float32."""
    targets: Tensor
    """Positions in the list of classes, shape (n,), int64."""
    share: Tensor
    """How much its mean counts in the mean over all parts of the step, 1 where they are alike; shape (), float32."""
    other: Other | None = None
    """What else is in the images."""
    weights: Tensor | None = None
    """How much each image counts, 1 on average over all of the training, shape (n,), float32; None if all alike."""

    def between(self, first: int, last: int) -> "Batch":
        """The part of its images from `first` on, up to the one before `last`, with the share of the whole."""

        def cut(value: Tensor | None) -> Tensor | None:
            return None if value is None else value[first:last]

        other = self.other and Other(
            self.other.targets[first:last], self.other.own[first:last], cut(self.other.weights)
        )
        return Batch(self.images[first:last], self.targets[first:last], self.share, other, cut(self.weights))


def class_weights(images: Tensor, balance: float) -> Tensor:
    """What an image of each class weighs in the loss, shape (classes,), float32; 1 on average over the images.

    A class of which there are n images has the weight n ** −balance, up to a constant; one without images has 0. Where
    images count more or less than once, n is the sum of that.
    """
    weights = torch.where(images > 0, images.double().clamp(min=torch.finfo().tiny) ** -balance, 0.0)
    return (weights * images.sum() / (weights * images).sum()).float()


def counted(batch: Batch, weights: Tensor) -> Tensor:
    """The sum of the `weights`, shape (classes,), of the classes in `batch`, by which its mean is divided; shape ()."""
    own = weights[batch.targets]
    if batch.other is None:
        return own.sum()
    targets, share, _ = batch.other
    return (share * own + (1 - share) * weights[targets]).sum()


def in_parts(batch: Batch, parts: int) -> list[Batch]:
    """`batch` in so many parts of nearly equal size, none of a single image, by which nothing could be normalised.

    If its images are too few for that, the first parts are empty: the last one is that after which devices agree.
    """
    count = len(batch.images)
    full = max(1, min(parts, count // 2))
    bounds = [0] * (parts - full) + [count * number // full for number in range(full + 1)]
    return [batch.between(first, last) for first, last in pairwise(bounds)]
