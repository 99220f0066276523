"""The images that a training draws: each new one once, and all images in turns, resumed where the base stopped.

A turn is a pass over all images in the order of a hash of (seed, turn, id). The position within a turn is a point in
the range of that hash. So added or removed images do not affect the others, and no image waits for longer than the
rest of this turn and the next one.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.training.drawing.budget import Length
from pipeline.training.drawing.randomness import Purpose, UInt64s, draw, epoch_order

Positions = npt.NDArray[np.intp]

# The key of the cursor in a checkpoint.
CURSOR = "cursor"
# The turn number of images that are drawn because they are new; turns over all images count from 0.
ARRIVAL = 2**64 - 1


class Cursor(NamedTuple):
    """The position in the sequence of turns."""

    turn: int
    point: int
    """Images with a smaller hash have already been drawn in this turn."""


class Drawn(NamedTuple):
    """Images in the order in which they are drawn."""

    positions: Positions
    """Positions of the images in the dataset, shape (n,)."""
    turns: UInt64s
    """Turn in which each image is drawn, or `ARRIVAL`; shape (n,)."""


@dataclass(frozen=True, kw_only=True)
class Draws:
    """All draws of a training; any part of them can be computed without those before it."""

    keys: UInt64s
    """Keys of all images, shape (n,)."""
    arrived: Positions
    """New images, each drawn once in addition, evenly spaced among the other draws; at most `count`."""
    count: int
    """Total number of draws."""
    start: Cursor
    """Where the base stopped."""
    seed: int

    def between(self, first: int, last: int) -> Drawn:
        """Return the draws from `first`, counted from 0, to `last`, exclusive."""
        arrivals = np.arange(first, last + 1) * len(self.arrived) // self.count
        is_arrival = np.diff(arrivals) > 0
        before, after = int(arrivals[0]), int(arrivals[-1])
        positions, turns = np.empty(last - first, np.intp), np.full(last - first, ARRIVAL, np.uint64)
        order = epoch_order(self.keys[self.arrived], seed=self.seed, epoch=ARRIVAL)
        positions[is_arrival] = self.arrived[order[before:after]]
        positions[~is_arrival], turns[~is_arrival] = self._in_turn(first - before, last - after)
        return Drawn(positions, turns)

    @property
    def end(self) -> Cursor:
        """The cursor after all draws."""
        turn, place = self._turn_and_place(self.count - len(self.arrived))
        if not place:
            return Cursor(turn, 0)
        return Cursor(turn, int(np.sort(self._hashes(turn))[place - 1]) + 1)

    def _in_turn(self, first: int, last: int) -> Drawn:
        """Return the draws in turns, that is, without the additional new images, from `first` to `last`, exclusive."""
        turn, place = self._turn_and_place(first)
        count, end = len(self.keys), place + last - first
        turns = range(turn, turn + -(-end // count))
        orders = [epoch_order(self.keys, seed=self.seed, epoch=number) for number in turns]
        visited = np.concatenate([np.empty(0, np.intp), *orders])[place:end]
        return Drawn(visited, (turn + np.arange(place, end) // count).astype(np.uint64))

    def _turn_and_place(self, number: int) -> tuple[int, int]:
        """Return the turn of draw `number`, and how many images are drawn before it in that turn."""
        had = int((self._hashes(self.start.turn) < np.uint64(self.start.point)).sum())
        further, place = divmod(had + number, len(self.keys))
        return self.start.turn + further, place

    def _hashes(self, turn: int) -> UInt64s:
        return draw(self.keys, seed=self.seed, epoch=turn, purpose=Purpose.ORDER)


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """The draws of a training, split into rounds (epochs to Lightning) and batches."""

    draws: Draws
    length: Length
    before: int
    """Number of rounds of all earlier generations since the cold start."""

    def batches(self, number: int) -> list[Drawn]:
        """Return the batches of round `number`, counted since the cold start."""
        # Batches of nearly equal size: batch normalisation fails on a last batch of a single image.
        first = (number - self.before) * self.length.steps_per_round
        bounds = [self.length.draws_before(first + batch) for batch in range(self.length.steps_per_round + 1)]
        drawn = self.draws.between(bounds[0], bounds[-1])
        cuts = [bound - bounds[0] for bound in bounds[1:-1]]
        return [Drawn(*parts) for parts in zip(*(np.split(part, cuts) for part in drawn), strict=True)]
