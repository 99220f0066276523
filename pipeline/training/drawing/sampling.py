"""Which images a training draws: each new one once, and all of them in turn, going on where its base stopped.

Images take turns in the order of a hash of (seed, turn, id). How far a turn has come is a point in the range of that
hash, so that images which are added or removed disturb no other, and none waits for more than the rest of this turn and
the next one.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.training.drawing.budget import Length
from pipeline.training.drawing.randomness import Purpose, UInt64s, draw, epoch_order

Positions = npt.NDArray[np.intp]

# The key under which a checkpoint says how far the turns have come.
CURSOR = "cursor"
# The turn of an image that is drawn because it is new; those of all images count from 0.
ARRIVAL = 2**64 - 1


class Cursor(NamedTuple):
    """How far the turns have come."""

    turn: int
    point: int
    """Images whose hash is less have had this turn."""


class Drawn(NamedTuple):
    """Images in the order in which they are drawn."""

    positions: Positions
    """Shape (n,)."""
    turns: UInt64s
    """For the how many-eth time all images are drawn, or `ARRIVAL`; shape (n,)."""


@dataclass(frozen=True, kw_only=True)
class Draws:
    """All draws of a training; any part of them is worked out without those before it."""

    keys: UInt64s
    """Of all images, shape (n,)."""
    arrived: Positions
    """The images that are drawn once for being new, at even distances among the others; at most `count`."""
    count: int
    """How many are drawn in all."""
    start: Cursor
    """How far the base has come."""
    seed: int

    def between(self, first: int, last: int) -> Drawn:
        """The draws from `first` on, counted from 0, up to the one before `last`."""
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
        """How far the turns have come when all is drawn."""
        turn, place = self._turn_and_place(self.count - len(self.arrived))
        if not place:
            return Cursor(turn, 0)
        return Cursor(turn, int(np.sort(self._hashes(turn))[place - 1]) + 1)

    def _in_turn(self, first: int, last: int) -> Drawn:
        """Of the draws that no new image takes, those from `first` on, up to the one before `last`."""
        turn, place = self._turn_and_place(first)
        count, end = len(self.keys), place + last - first
        turns = range(turn, turn + -(-end // count))
        orders = [epoch_order(self.keys, seed=self.seed, epoch=number) for number in turns]
        visited = np.concatenate([np.empty(0, np.intp), *orders])[place:end]
        return Drawn(visited, (turn + np.arange(place, end) // count).astype(np.uint64))

    def _turn_and_place(self, number: int) -> tuple[int, int]:
        """The turn of that draw, and how many images had theirs before it."""
        had = int((self._hashes(self.start.turn) < np.uint64(self.start.point)).sum())
        further, place = divmod(had + number, len(self.keys))
        return self.start.turn + further, place

    def _hashes(self, turn: int) -> UInt64s:
        return draw(self.keys, seed=self.seed, epoch=turn, purpose=Purpose.ORDER)


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """The draws of a training, cut into rounds, which Lightning takes for epochs, and batches."""

    draws: Draws
    length: Length
    before: int
    """Rounds since the cold start that the base has behind it."""

    def batches(self, number: int) -> list[Drawn]:
        """Those of a round, which is counted since the cold start."""
        # Of nearly equal size: a last batch of one image would leave batch normalisation nothing to normalise by.
        first = (number - self.before) * self.length.steps_per_round
        bounds = [self.length.draws_before(first + batch) for batch in range(self.length.steps_per_round + 1)]
        drawn = self.draws.between(bounds[0], bounds[-1])
        cuts = [bound - bounds[0] for bound in bounds[1:-1]]
        return [Drawn(*parts) for parts in zip(*(np.split(part, cuts) for part in drawn), strict=True)]
