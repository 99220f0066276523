"""Random numbers that depend only on the seed, the epoch, the image id and the purpose.

So the order and the augmentation of an image do not depend on workers, devices, interruptions or added images, and any
position can be computed directly.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

UInt64s = npt.NDArray[np.uint64]


class Purpose(IntEnum):
    """The purpose of a random number; numbers for different purposes are independent. Never change the values."""

    ORDER = 0
    SHIFT_X = 1
    SHIFT_Y = 2
    FLIP = 3
    STATISTICS = 4
    FLIP_VERTICAL = 5
    CROP_AREA = 6
    CROP_RATIO = 7
    CROP_X = 8
    CROP_Y = 9
    ANGLE = 10
    BRIGHTNESS = 11
    CONTRAST = 12
    SATURATION = 13
    HUE = 14
    GREY = 15
    BLUR = 16
    BLUR_SIGMA = 17
    ERASE = 18
    ERASE_AREA = 19
    ERASE_RATIO = 20
    ERASE_X = 21
    ERASE_Y = 22
    OPERATION = 23  # This and the next two purposes use two values each, for two operations.
    MAGNITUDE = 25
    SIGN = 27
    MIX_KIND = 29
    MIX_SHARE = 30
    MIX_X = 31
    MIX_Y = 32


def keys_of(ids: npt.NDArray[np.str_]) -> UInt64s:
    """Return the first 64 bits of each image id: hexadecimal strings of shape (n,) to numbers of shape (n,)."""
    return np.array([int(image_id[:16], 16) for image_id in ids], dtype=np.uint64)


def draw(keys: UInt64s, *, seed: int, epoch: int | UInt64s, purpose: int) -> UInt64s:
    """Return 64 random bits for each of `keys`, shape (n,); `epoch` is a single number or one per key.

    Uses SplitMix64 (Steele, Lea & Flood, OOPSLA 2014) as a hash.
    """
    state = np.zeros(1, dtype=np.uint64)
    for part in (seed, epoch, purpose):
        state = _mix(state + np.asarray(part, np.uint64))
    return _mix(keys ^ state)


def uniform(keys: UInt64s, *, seed: int, epoch: int | UInt64s, purpose: int) -> npt.NDArray[np.float64]:
    """Return a random number in [0, 1) for each of `keys`, shape (n,); arguments as for `draw`."""
    bits = draw(keys, seed=seed, epoch=epoch, purpose=purpose) >> np.uint64(11)
    return bits.astype(np.float64) * 2.0**-53


def epoch_order(keys: UInt64s, *, seed: int, epoch: int) -> npt.NDArray[np.intp]:
    """Return the positions in `keys` in the random order of `epoch`, each once, shape (n,)."""
    return np.argsort(draw(keys, seed=seed, epoch=epoch, purpose=Purpose.ORDER), kind="stable")


def _mix(value: UInt64s) -> UInt64s:
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
