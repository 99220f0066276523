"""How long a training is, before it begins."""

import math

from pipeline.params import Train


def steps_per_epoch(images: int, params: Train) -> int:
    """How many batches an epoch makes of so many images."""
    return math.ceil(images / params.batch_size)


def epochs_of(params: Train, *, warm: bool, new: float) -> int:
    """How many epochs a training takes; `new` is the share of its images that its base was trained without."""
    return params.warm_epochs + round(params.new_epochs * new) if warm else params.epochs
