"""The length of a training, planned before it begins: in proportion to the changed images, within limits."""

import math
from typing import NamedTuple

from pipeline.train_params import Train


class Length(NamedTuple):
    """The number of images that a training draws, and its number of steps, all of nearly equal size.

    A round is what Lightning calls an epoch: between one and nearly two passes over the images, or less than one if
    fewer images are drawn in total. A validation follows each round.
    """

    draws: int
    rounds: int
    steps_per_round: int

    @property
    def steps(self) -> int:
        """Number of steps of the whole training."""
        return self.rounds * self.steps_per_round

    def draws_before(self, step: int) -> int:
        """Return the number of images drawn before `step`, counted from 0."""
        return step * self.draws // self.steps


def length_of(params: Train, *, images: int, changed: int, warm: bool) -> Length:
    """Return the length of a training on `images` images, if `changed` ones are new, relabelled or removed.

    In a cold start all are new. All rounds have the same number of steps. A step has more than one image, unless there
    is only one image.
    """
    most = params.epochs * images
    if not warm:
        draws = most
    elif params.optimizer != "schedule_free":
        draws = params.warm_epochs * images
    else:
        # Whole batches, so that many small generations together cost no more than a large one.
        batches = max(round(params.passes * changed / params.batch_size), math.ceil(changed / params.batch_size))
        draws = min(max(batches, params.min_steps) * params.batch_size, most)
    rounds = max(draws // images, 1)
    return Length(draws, rounds, math.ceil(draws / rounds / params.batch_size))
