"""Loaders of batches; their order depends only on the seed, the position and the image ids."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, distributed

from pipeline.images.dataset import Dataset
from pipeline.images.pixel_source import in_batches
from pipeline.models.device import to_device
from pipeline.train_params import Train
from pipeline.training.drawing.randomness import Purpose, draw, keys_of
from pipeline.training.drawing.sampling import Drawn, Rounds
from pipeline.training.feeding.batches import Batch, Other, class_weights, counted, in_parts
from pipeline.training.feeding.prefetching import prefetch
from pipeline.training.feeding.sources import AugmentedImages, Inputs, InputSource, PlainImages


class EvalLoader:
    """Yields all images in the order of their ids, without augmentation."""

    def __init__(
        self, dataset: Dataset, classes: list[str], *, batch_size: int, source: InputSource | None = None
    ) -> None:
        """`source` provides the inputs of the network; by default the images themselves, on the CPU."""
        self._source, self._targets = source or PlainImages(dataset), targets_of(dataset.labels, classes)
        self._batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(len(self._targets) / self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        return prefetch(self._batches(), self._source.where)

    def _batches(self) -> Iterator[Batch]:
        rank, devices = _rank()
        here = [batch[rank::devices] for batch in in_batches(np.arange(len(self._targets)), self._batch_size)]
        drawn = (Drawn(chosen, np.zeros(len(chosen), np.uint64)) for chosen in here)
        for chosen, inputs in zip(here, self._source.batches(drawn), strict=True):
            targets = self._targets[torch.from_numpy(chosen)]
            yield Batch(inputs.values, targets, torch.ones((), device=self._source.where))


class TrainLoader:
    """Yields the drawn batches, round by round.

    Lightning saves and restores the position (`state_dict`) and sets the epoch of `sampler`, which is the round counted
    since the cold start. Position and order count for all devices together, so a run can resume with another number of
    devices.
    """

    def __init__(
        self, dataset: Dataset, classes: list[str], params: Train, rounds: Rounds, source: InputSource | None = None
    ) -> None:
        """`source` provides the inputs of the network; by default the images, augmented on the CPU."""
        self._source = source or AugmentedImages(dataset, params)
        self._targets = targets_of(dataset.labels, classes)
        self._weights = None if dataset.weights is None else torch.from_numpy(dataset.weights)
        self._params, self._rounds = params, rounds
        self._class_weights = class_weights(self.images_of_classes(len(classes)), params.balance)
        self._round = rounds.before
        # The step at which the next iteration begins, and the number of finished steps of the current one.
        self._start = self._position = 0

    def images_of_classes(self, classes: int) -> Tensor:
        """Return the number of images of each class, each counted by its weight, shape (classes,)."""
        return torch.bincount(self._targets, self._weights, minlength=classes)

    @property
    def sampler(self) -> "TrainLoader":
        """The object whose `set_epoch` Lightning calls."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Select the round that the next iteration draws."""
        self._round = epoch

    def __len__(self) -> int:
        return self._rounds.length.steps_per_round * self._params.accumulate

    def __iter__(self) -> Iterator[Batch]:
        first, self._start = self._start, 0
        for position, parts in enumerate(prefetch(self._steps(first), self._source.where), first):
            yield from parts[:-1]
            # Before the last part, since Lightning never asks for a batch after the last one.
            self._position = (position + 1) % self._rounds.length.steps_per_round
            yield parts[-1]

    def _steps(self, first: int) -> Iterator[tuple[Batch, ...]]:
        """Yield the parts of each step of the round, starting with step `first`."""
        rank, devices = _rank()
        here = [
            Drawn(chosen[rank::devices], turns[rank::devices])
            for chosen, turns in self._rounds.batches(self._round)[first:]
        ]
        for drawn, inputs in zip(here, self._source.batches(here), strict=True):
            yield self._shared_out(self._batch(torch.from_numpy(drawn.positions), inputs), devices)

    def _batch(self, chosen: Tensor, inputs: Inputs) -> Batch:
        """Return the batch of a step: the `inputs` of the images at the positions `chosen`, shape (n,)."""
        (values, mixture), where = inputs, self._source.where
        targets = to_device(self._targets[chosen], where)
        weights = None if self._weights is None else to_device(self._weights[chosen], where)
        whole = torch.ones((), device=where)  # Created on the device: copying a number to a GPU blocks the CPU.
        if mixture is None:
            return Batch(values, targets, whole, weights=weights)
        partners, own = mixture
        of_others = None if weights is None else weights[partners]
        return Batch(values, targets, whole, Other(targets[partners], own, of_others), weights)

    def _shared_out(self, batch: Batch, devices: int) -> tuple[Batch, ...]:
        """Split `batch`, this device's share of a step, into its parts for accumulation, each with its `share`."""
        parts = in_parts(batch, self._params.accumulate)
        if len(parts) * devices == 1:
            return (batch,)
        weights = to_device(self._class_weights, self._source.where)
        sums = torch.stack([counted(part, weights) for part in parts])
        whole = _over_devices(sums.sum())
        return tuple(
            part._replace(share=one * len(sums) * devices / whole) for part, one in zip(parts, sums, strict=True)
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the number of finished steps of the round; 0 when all are finished."""
        return {"position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Begin the next iteration at the position in `state`."""
        self._start = self._position = state["position"]


def sample(
    dataset: Dataset, *, count: int, batch_size: int, seed: int, among: npt.NDArray[np.intp] | None = None
) -> Iterator[Tensor]:
    """Draw at most `count` images, always the same for the same seed and ids, without augmentation, on the CPU.

    If `among` is given, only images at these positions are drawn; it must not be empty.

    Yields:
        batches of nearly equal size, of shape (n, channels, height, width), uint8.
    """
    chosen = np.arange(len(dataset)) if among is None else among
    keys = keys_of(dataset.ids[chosen])
    order = chosen[np.argsort(draw(keys, seed=seed, epoch=0, purpose=Purpose.STATISTICS), kind="stable")[:count]]
    batches = dataset.images.batches(np.array_split(order, math.ceil(len(order) / batch_size)))
    return map(torch.from_numpy, batches)


def _rank() -> tuple[int, int]:
    """Return the rank of this process's device, and the number of devices."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def _over_devices(value: Tensor) -> Tensor:
    """Return the sum of `value` over all devices."""
    if _rank()[1] > 1:
        distributed.all_reduce(value)
    return value


def targets_of(labels: npt.NDArray[np.str_], classes: list[str]) -> Tensor:
    """Return the position of each label in `classes`, which must contain them all: shape (n,), int64."""
    position = {name: number for number, name in enumerate(classes)}
    return torch.tensor([position[label] for label in labels], dtype=torch.int64)
