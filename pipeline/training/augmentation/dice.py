"""Random numbers for the images of a batch: each image's own, whatever batch it is in."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from pipeline.models.device import to_device
from pipeline.training.drawing.randomness import UInt64s, draw, uniform

# What a number is for: ours are listed in randomness.py, and code of a project's own takes names.
Use = int | str


@dataclass(frozen=True)
class Dice:
    """Numbers for n images, functions of (seed, id, turn, use): the same use gives the same numbers."""

    keys: UInt64s
    """Of the images, shape (n,)."""
    seed: int
    turns: UInt64s
    """For the how many-eth time each is drawn, shape (n,)."""
    device: torch.device
    """Where the numbers are wanted."""

    def between(self, purpose: Use, low: float, high: float) -> Tensor:
        """A number in [low, high) for each image, shape (n,), float32."""
        return self._there(low + (high - low) * self._uniform(purpose))

    def around(self, purpose: Use, middle: float, reach: float) -> Tensor:
        """A number in [middle − reach, middle + reach) for each image, shape (n,), float32."""
        return self.between(purpose, middle - reach, middle + reach)

    def below(self, purpose: Use, count: int) -> Tensor:
        """A whole number in [0, count) for each image, shape (n,), int64."""
        return self._there(np.floor(count * self._uniform(purpose)), torch.int64)

    def groups(self, purpose: Use, count: int) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The same, and for each number in [0, count) the images that have it, their positions in order, int64.

        They are told apart on the CPU: a GPU that tells them apart makes the CPU wait for it.
        """
        numbers = np.floor(count * self._uniform(purpose)).astype(np.int64)
        order, sizes = np.argsort(numbers, kind="stable"), np.bincount(numbers, minlength=count)
        return self._there(numbers, torch.int64), torch.split(self._there(order, torch.int64), sizes.tolist())

    def chosen(self, purpose: Use, share: float) -> Tensor:
        """Which images are among that share of all, shape (n,), bool."""
        return self._there(self._uniform(purpose) < share, torch.bool)

    def beta(self, purpose: Use, alpha: float) -> Tensor:
        """A number of the distribution Beta(α, α) for each image, shape (n,), float32."""
        return self._there(betaincinv(alpha, alpha, self._uniform(purpose)))

    def several(self, purpose: Use, count: int) -> Tensor:
        """So many numbers in [0, 1) for each image, one a pixel for noise, say: shape (n, count), float32."""
        keys = draw(self.keys, seed=self.seed, epoch=self.turns, purpose=_number(purpose))
        return self._there(uniform(keys[:, None], seed=0, epoch=np.arange(count, dtype=np.uint64), purpose=0))

    def _uniform(self, purpose: Use) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return uniform(self.keys, seed=self.seed, epoch=self.turns, purpose=_number(purpose))

    def _there(
        self, numbers: np.ndarray[tuple[int, ...], np.dtype[np.generic]], dtype: torch.dtype = torch.float32
    ) -> Tensor:
        return to_device(torch.from_numpy(numbers).to(dtype), self.device)


def _number(purpose: Use) -> int:
    """The number of a use; those of names are beyond all of ours."""
    if isinstance(purpose, int):
        return purpose
    return int.from_bytes(hashlib.md5(purpose.encode(), usedforsecurity=False).digest()[:8]) | 1 << 63
