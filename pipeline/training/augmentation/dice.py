"""Random numbers for the images of a batch; those of an image do not depend on the batch it is in."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from pipeline.models.device import to_device
from pipeline.training.drawing.randomness import UInt64s, draw, uniform

# Purpose of a number: this package uses those in randomness.py, a project's own code uses names.
Use = int | str


@dataclass(frozen=True)
class Dice:
    """Random numbers for n images that depend only on (seed, id, turn, purpose); repeated calls return the same."""

    keys: UInt64s
    """Keys of the images, shape (n,)."""
    seed: int
    turns: UInt64s
    """Turn in which each image is drawn, shape (n,)."""
    device: torch.device
    """Device of the returned tensors."""

    def between(self, purpose: Use, low: float, high: float) -> Tensor:
        """Return a number in [low, high) for each image, shape (n,), float32."""
        return self._there(low + (high - low) * self._uniform(purpose))

    def around(self, purpose: Use, middle: float, reach: float) -> Tensor:
        """Return a number in [middle − reach, middle + reach) for each image, shape (n,), float32."""
        return self.between(purpose, middle - reach, middle + reach)

    def below(self, purpose: Use, count: int) -> Tensor:
        """Return an integer in [0, count) for each image, shape (n,), int64."""
        return self._there(np.floor(count * self._uniform(purpose)), torch.int64)

    def groups(self, purpose: Use, count: int) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the numbers of `below`, and for each number in [0, count) the positions of its images, int64.

        The grouping runs on the CPU; on a GPU it would block the CPU.
        """
        numbers = np.floor(count * self._uniform(purpose)).astype(np.int64)
        order, sizes = np.argsort(numbers, kind="stable"), np.bincount(numbers, minlength=count)
        return self._there(numbers, torch.int64), torch.split(self._there(order, torch.int64), sizes.tolist())

    def chosen(self, purpose: Use, share: float) -> Tensor:
        """Return for each image whether it is chosen, with the probability `share`; shape (n,), bool."""
        return self._there(self._uniform(purpose) < share, torch.bool)

    def beta(self, purpose: Use, alpha: float) -> Tensor:
        """Return a sample of the distribution Beta(α, α) for each image, shape (n,), float32."""
        return self._there(betaincinv(alpha, alpha, self._uniform(purpose)))

    def several(self, purpose: Use, count: int) -> Tensor:
        """Return `count` numbers in [0, 1) for each image, for example noise per pixel: shape (n, count), float32."""
        keys = draw(self.keys, seed=self.seed, epoch=self.turns, purpose=_number(purpose))
        return self._there(uniform(keys[:, None], seed=0, epoch=np.arange(count, dtype=np.uint64), purpose=0))

    def _uniform(self, purpose: Use) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return uniform(self.keys, seed=self.seed, epoch=self.turns, purpose=_number(purpose))

    def _there(
        self, numbers: np.ndarray[tuple[int, ...], np.dtype[np.generic]], dtype: torch.dtype = torch.float32
    ) -> Tensor:
        return to_device(torch.from_numpy(numbers).to(dtype), self.device)


def _number(purpose: Use) -> int:
    """Return the number of a purpose; names map to numbers above all values of `Purpose`."""
    if isinstance(purpose, int):
        return purpose
    return int.from_bytes(hashlib.md5(purpose.encode(), usedforsecurity=False).digest()[:8]) | 1 << 63
