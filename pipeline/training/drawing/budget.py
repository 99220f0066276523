"""How long a training is, before it begins: as much as is new, within bounds."""

import math
from typing import NamedTuple

from pipeline.train_params import Train


class Length(NamedTuple):
    """How many images a training draws, and in how many steps, all of nearly equal size.

    What Lightning takes for an epoch is a round: one pass over the images, nearly two at most, or less than one where
    less is drawn in all. Validation ends each.
    """

    draws: int
    rounds: int
    steps_per_round: int

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return self.rounds * self.steps_per_round

    def draws_before(self, step: int) -> int:
        """How many images are drawn before `step`, counted from 0."""
        return step * self.draws // self.steps


def length_of(params: Train, *, images: int, changed: int, warm: bool) -> Length:
    """The length of a training on so many images, of which so many `changed`: are new, have another label, or are gone.

    At a cold start all are new. Never are two rounds of different steps, nor is a step of a single image unless there
    is just one.
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
