"""Randomness that is a function of (seed, epoch, image id) alone.

So neither workers, devices, interruptions nor images added since disturb the order or the augmentation of an image,
and any position can be jumped to.
"""

import numpy as np
import numpy.typing as npt

UInt64s = npt.NDArray[np.uint64]

# What a draw is for; draws for different purposes are independent.
ORDER, SHIFT_X, SHIFT_Y, FLIP, STATISTICS = range(5)


def keys_of(ids: npt.NDArray[np.str_]) -> UInt64s:
    """The first 64 bits of each image id: shape (n,) of hexadecimal strings to shape (n,)."""
    return np.array([int(image_id[:16], 16) for image_id in ids], dtype=np.uint64)


def draw(keys: UInt64s, *, seed: int, epoch: int | UInt64s, purpose: int) -> UInt64s:
    """64 random bits for each of `keys`, shape (n,); `epoch` is that of all, or of each.

    SplitMix64 (Steele, Lea & Flood, OOPSLA 2014) as a hash.
    """
    state = np.zeros(1, dtype=np.uint64)
    for part in (seed, epoch, purpose):
        state = _mix(state + np.asarray(part, np.uint64))
    return _mix(keys ^ state)


def uniform(keys: UInt64s, *, seed: int, epoch: int | UInt64s, purpose: int) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each of `keys`, shape (n,), as `draw` has them."""
    bits = draw(keys, seed=seed, epoch=epoch, purpose=purpose) >> np.uint64(11)
    return bits.astype(np.float64) * 2.0**-53


def epoch_order(keys: UInt64s, *, seed: int, epoch: int) -> npt.NDArray[np.intp]:
    """The positions in `keys` in the order in which `epoch` visits them, each once, shape (n,)."""
    return np.argsort(draw(keys, seed=seed, epoch=epoch, purpose=ORDER), kind="stable")


def _mix(value: UInt64s) -> UInt64s:
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
