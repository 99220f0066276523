"""Batches of images in an order that is a function of (seed, position, image ids)."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, distributed

from pipeline.images.dataset import Dataset
from pipeline.images.pixel_source import in_batches
from pipeline.param_types import is_own
from pipeline.params import Train
from pipeline.training.augmentation.augment import augment
from pipeline.training.augmentation.dice import Dice
from pipeline.training.augmentation.mixing import Mixture, mix
from pipeline.training.augmentation.own_changes import change
from pipeline.training.augmentation.presets import settings_of
from pipeline.training.drawing.randomness import Purpose, draw, keys_of
from pipeline.training.drawing.sampling import Drawn, Rounds

CPU = torch.device("cpu")


class Batch(NamedTuple):
    """Images and their classes; where several devices train, one device's part of them."""

    images: Tensor
    """Shape (n, channels, height, width), uint8."""
    targets: Tensor
    """Positions in the list of classes, shape (n,), int64."""
    share: Tensor
    """How much its mean counts in the mean over all devices, 1 where all parts are equal; shape (), float32."""
    mixture: Mixture | None = None
    """What else is in the images."""
    weights: Tensor | None = None
    """How much each image counts, 1 on average over all of the training, shape (n,), float32; None if all alike."""


class EvalLoader:
    """All images in the order of their ids, unchanged."""

    def __init__(self, dataset: Dataset, classes: list[str], *, batch_size: int) -> None:
        self._images, self._targets = dataset.images, targets_of(dataset.labels, classes)
        self._batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(len(self._targets) / self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        rank, devices = _rank()
        here = [batch[rank::devices] for batch in in_batches(np.arange(len(self._targets)), self._batch_size)]
        for chosen, images in zip(here, self._images.batches(here), strict=True):
            yield Batch(torch.from_numpy(images), self._targets[torch.from_numpy(chosen)], torch.ones(()))


class TrainLoader:
    """What is drawn, round after round, augmented.

    Lightning asks it for its position (`state_dict`), gives it back, and tells the round, which it calls epoch and
    counts since the cold start, to its `sampler`. Position and order are those of all devices together, so that a run
    can go on with another number of them.
    """

    def __init__(
        self, dataset: Dataset, classes: list[str], params: Train, rounds: Rounds, device: torch.device = CPU
    ) -> None:
        """Augments on `device`."""
        self._images, self._targets = dataset.images, targets_of(dataset.labels, classes)
        self._weights = None if dataset.weights is None else torch.from_numpy(dataset.weights)
        self._params, self._rounds, self._device = params, rounds, device
        self._augment = settings_of(params.augment)
        self._round = rounds.before
        # The batch with which the next iteration begins, and how many are done of this one.
        self._start = self._position = 0

    def images_of_classes(self, classes: int) -> Tensor:
        """How many images there are of each class, each as often as it counts, shape (classes,)."""
        return torch.bincount(self._targets, self._weights, minlength=classes)

    @property
    def sampler(self) -> "TrainLoader":
        """Whom Lightning tells the epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Draw what that round draws from now on."""
        self._round = epoch

    def __len__(self) -> int:
        return self._rounds.length.steps_per_round

    def __iter__(self) -> Iterator[Batch]:
        (rank, devices), keys = _rank(), self._rounds.draws.keys
        batches = self._rounds.batches(self._round)
        first, self._start = self._start, 0
        here = [Drawn(chosen[rank::devices], turns[rank::devices]) for chosen, turns in batches[first:]]
        loaded = self._images.batches([chosen for chosen, _ in here])
        for position, ((chosen, turns), images) in enumerate(zip(here, loaded, strict=True), first):
            moved = torch.from_numpy(images).to(self._device, non_blocking=True)
            dice = Dice(keys[chosen], self._params.seed, turns, self._device)
            augmented, mixture = self._change(moved, dice, is_first=position == first)
            # Now, since Lightning counts batches and never asks for the one after the last.
            self._position = (position + 1) % len(self)
            share = torch.tensor(len(chosen) * devices / len(batches[position].turns))
            picked = torch.from_numpy(chosen)
            weights = None if self._weights is None else self._weights[picked]
            yield Batch(augmented, self._targets[picked], share, mixture, weights)

    def _change(self, images: Tensor, dice: Dice, *, is_first: bool) -> tuple[Tensor, Mixture | None]:
        own = self._params.augment
        if isinstance(own, str) and is_own(own):
            return change(own, images, dice, is_first=is_first), None
        return mix(augment(images, self._augment, dice), self._augment, dice)

    def state_dict(self) -> dict[str, Any]:
        """How many batches of the round are done; 0 when all are."""
        return {"position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Begin the next iteration after `state`'s position."""
        self._start = self._position = state["position"]


def sample(
    dataset: Dataset, *, count: int, batch_size: int, seed: int, among: npt.NDArray[np.intp] | None = None
) -> Iterator[Tensor]:
    """At most `count` of the images, the same ones for the same seed and ids, unchanged, on the CPU.

    Only those at the positions `among` where they are given, of which there is at least one.

    Yields:
        batches of nearly equal size, of shape (n, channels, height, width), uint8.
    """
    chosen = np.arange(len(dataset)) if among is None else among
    keys = keys_of(dataset.ids[chosen])
    order = chosen[np.argsort(draw(keys, seed=seed, epoch=0, purpose=Purpose.STATISTICS), kind="stable")[:count]]
    batches = dataset.images.batches(np.array_split(order, math.ceil(len(order) / batch_size)))
    return map(torch.from_numpy, batches)


def _rank() -> tuple[int, int]:
    """Which of how many devices this process is for."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def targets_of(labels: npt.NDArray[np.str_], classes: list[str]) -> Tensor:
    """The position of each label in `classes`, which holds them all: shape (n,), int64."""
    position = {name: number for number, name in enumerate(classes)}
    return torch.tensor([position[label] for label in labels], dtype=torch.int64)
