"""Which images an epoch draws: each once, or new ones more often than others.

Like randomness.py, functions of (seed, epoch, image ids).
"""

import numpy as np
import numpy.typing as npt

from pipeline.training.randomness import MIX, UInt64s, draw, epoch_order

Positions = npt.NDArray[np.intp]


def draw_epoch(keys: UInt64s, is_new: npt.NDArray[np.bool_], *, new_share: float, seed: int, epoch: int) -> Positions:
    """The positions in `keys` in the order in which `epoch` visits them, shape (len(keys),).

    Each is visited once, unless `new_share` is above 0: then that share of the visits are to new images, and new ones
    and old ones are each visited in turn before any of them is visited again, over the epochs too.
    """
    new, old = np.flatnonzero(is_new), np.flatnonzero(~is_new)
    if not new_share or not len(new) or not len(old):
        return epoch_order(keys, seed=seed, epoch=epoch)
    count = min(max(round(new_share * len(keys)), 1), len(keys) - 1)
    drawn = np.concatenate(
        [_in_turn(group, keys[group], size, seed, epoch) for group, size in ((new, count), (old, len(keys) - count))]
    )
    places = np.arange(len(keys), dtype=np.uint64)
    return drawn[np.argsort(draw(places, seed=seed, epoch=epoch, purpose=MIX), kind="stable")]


def _in_turn(group: Positions, keys: UInt64s, count: int, seed: int, epoch: int) -> Positions:
    """The `count` draws of `epoch` from rounds through all of `group`, each in an order of its own."""
    first = epoch * count
    rounds = range(first // len(group), (first + count - 1) // len(group) + 1)
    visited = np.concatenate([group[epoch_order(keys, seed=seed, epoch=number)] for number in rounds])
    start = first - rounds.start * len(group)
    return visited[start : start + count]
