"""Alternative ways to train on growing data, for the study of accuracy, on the same draws as the pipeline.

Both use AdamW at a constant learning rate after one warm-up. `moving average` is the exponential moving average of the
weights over the steps of an epoch. `decayed branch` (warm-up, stable, decay) trains each model in a branch, in which
the rate falls to zero over the last fifth of the generation's steps; the next generation continues from the start of
the branch.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import NamedTuple

import numpy as np
import torch
from study_data import Data
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pipeline.images.dataset import Dataset
from pipeline.models.network import Network, Spec, build
from pipeline.models.normalisation import estimate_statistics
from pipeline.params import Params
from pipeline.train_params import Train
from pipeline.training.drawing.budget import length_of
from pipeline.training.drawing.randomness import keys_of
from pipeline.training.drawing.sampling import Cursor, Draws, Rounds
from pipeline.training.feeding.batches import Batch
from pipeline.training.feeding.loader import TrainLoader, sample
from pipeline.training.module import Classifier
from pipeline.training.optimizers import Schedule

BRANCH = 0.2
PEERS = ("moving average", "decayed branch")


class Trained(NamedTuple):
    """The result of training."""

    network: Network
    classes: tuple[str, ...]
    steps: int
    """Steps of all generations after the first."""


class Loop:
    """A network and its optimizer at a constant rate."""

    def __init__(self, params: Params, spec: Spec, first_steps: int) -> None:
        torch.manual_seed(params.train.seed)
        self.network = build(spec, pretrained=False)
        train = params.train.model_copy(update={"optimizer": "adamw"})
        rise = round(train.warmup * first_steps)
        images = torch.ones(len(spec.classes))
        self.classifier = Classifier(self.network, spec, train, Schedule(0, train.lr, rise, stays=True), images)
        self.optimizer: Optimizer = self.classifier.configure_optimizers()["optimizer"]
        self.lr, self.rise, self.done = train.lr, rise, 0

    def step(self, batch: Batch, rate: float = 1.0) -> None:
        """Train on `batch` at the share `rate` of the learning rate."""
        rising = min(1.0, (self.done + 1) / max(self.rise, 1))
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * rising * rate
        with torch.autocast("cpu", torch.bfloat16):
            loss = self.classifier.training_step(batch, 1)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.done += 1


def train_peer(how: str, data: Data, params: Params, generations: int) -> Trained:
    """Train the first model and `generations` after it; returns the last model."""
    spec = Spec(
        model=params.train.model,
        size=params.train.size,
        mode=params.ingest.mode,
        classes=tuple(sorted(set(data.train.labels))),
    )
    sizes = data.sizes(generations)
    lengths = [
        length_of(params.train, images=size, changed=size - before, warm=before > 0)
        for before, size in zip([0, *sizes], sizes, strict=False)
    ]
    loop, before, cursor = Loop(params, spec, lengths[0].steps), 0, Cursor(0, 0)
    average = AveragedModel(loop.network)
    for size, length in zip(sizes, lengths, strict=True):
        images = data.until(size)
        arrived = np.flatnonzero(~np.isin(images.ids, data.train.ids[:before])) if before else np.empty(0, np.intp)
        seed = params.train.seed
        draws = Draws(keys=keys_of(images.ids), arrived=arrived, count=length.draws, start=cursor, seed=seed)
        batches = _batches(images, spec, params.train, Rounds(draws=draws, length=length, before=0))
        if how == "moving average":
            _average(loop, average, batches, steps_of_epoch=size / params.train.batch_size)
            model = average.module
        else:
            model = _branch(loop, batches, length.steps)
        before, cursor = size, draws.end
    if how == "moving average":
        estimate_statistics(model, _shown(images, params.train))
    return Trained(model.eval(), spec.classes, sum(length.steps for length in lengths[1:]))


def _batches(images: Dataset, spec: Spec, train: Train, rounds: Rounds) -> Iterator[Batch]:
    loader = TrainLoader(images, list(spec.classes), train, rounds)
    for number in range(rounds.length.rounds):
        loader.set_epoch(number)
        yield from loader


def _average(loop: Loop, average: AveragedModel, batches: Iterator[Batch], *, steps_of_epoch: float) -> None:
    """Train on `batches`, and update `average`."""
    average.multi_avg_fn = get_ema_multi_avg_fn(1 - 1 / max(steps_of_epoch, 2))
    for batch in batches:
        loop.step(batch)
        average.update_parameters(loop.network)


def _branch(loop: Loop, batches: Iterator[Batch], steps: int) -> Network:
    """Train on `batches`; on the last of them trains a copy, which becomes the model."""
    branches_at = steps - max(1, round(BRANCH * steps))
    for number, batch in enumerate(batches):
        if number == branches_at:
            # In the copy, too, the optimizer refers to the parameters of the network.
            loop_now = deepcopy(loop)
        if number < branches_at:
            loop.step(batch)
        else:
            loop_now.step(batch, (steps - number) / (steps - branches_at))
    return loop_now.network


def _shown(images: Dataset, train: Train) -> Iterator[Tensor]:
    return sample(images, count=512, batch_size=train.batch_size, seed=train.seed)
