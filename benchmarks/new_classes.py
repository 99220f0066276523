"""The start of new classes, on Fashion-MNIST with three seeds: `python benchmarks/new_classes.py`.

The first model knows eight classes, of 200 images each. The next generation adds two classes, of 200 images each, or of
20. The benchmark measures accuracy on the test images of the new and of the old classes, as if training ended after 0,
10 and 100 % of its steps; with the head's new rows computed from features of the new images, and with random rows.
"""

import math
import os
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch
from accuracy import params_of, train_next
from reporting import Row, Rows, Scale, main, spread
from study_data import FASHION, Data, fashion

from pipeline import paths, train
from pipeline.images.dataset import Dataset
from pipeline.images.pixel_source import PixelSource
from pipeline.models.network import Network
from pipeline.params import Params
from pipeline.training.callbacks import AveragedWeights
from pipeline.training.feeding.loader import TrainLoader, sample
from pipeline.training.generation import plan
from pipeline.training.module import Classifier
from pipeline.training.optimizers import schedule_of
from pipeline.training.trainer import trainer_of
from pipeline.training.warm_start import rows_of_new_classes, warm_start

NEW = ("class 3", "class 8")
SHARES = (0.0, 0.1, 1.0)
# Training images of each class, and the total number of test images.
EACH, TESTED = 200, 2_000
Measured = tuple[float, float]


class Watch(pl.Callback):
    """Measures, at some steps, the model that training would produce if it ended there. It does not affect training."""

    def __init__(self, averaged: AveragedWeights, network: Network, test: Dataset, classes: tuple[str, ...]) -> None:
        self._averaged, self._network, self._test, self._classes = averaged, network, test, classes
        self._first, self._steps = 0, 0
        self.found: dict[float, Measured] = {}

    def begin(self, first: int, steps: int) -> None:
        """Set the first step of this training, counted from the cold start, and its number of `steps`."""
        self._first, self._steps = first, steps

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        """Measure before a step, if that is due."""
        self._look(trainer, pl_module)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        """Measure after a step, if that is due."""
        self._look(trainer, pl_module)

    def _look(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        step = trainer.global_step - self._first
        due = [share for share in SHARES if share not in self.found and step == math.ceil(share * self._steps)]
        if due:
            self._averaged.on_validation_epoch_start(trainer, module)
            self.found |= dict.fromkeys(due, self._accuracies())
            self._averaged.on_validation_epoch_end(trainer, module)

    def _accuracies(self) -> Measured:
        """Return the accuracy on images of the new classes, and of the others, in per cent."""
        was = self._network.training
        self._network.eval()
        with torch.inference_mode():
            batches = torch.from_numpy(self._test.images.pixels[:TESTED].copy()).split(500)
            logits = torch.cat([self._network(batch) for batch in batches])
        self._network.train(was)
        right = np.array(self._classes)[logits.argmax(1).numpy()] == self._test.labels[:TESTED]
        is_new = np.isin(self._test.labels[:TESTED], NEW)
        return 100 * float(right[is_new].mean()), 100 * float(right[~is_new].mean())


def measure(data: Dataset, test: Dataset, params: Params, *, imprinted: bool) -> dict[float, Measured]:
    """Train the generation after data/base on `data` as the stage does; returns its accuracies."""
    generation = plan(params, pd.Series(data.labels, index=data.ids, dtype=str))
    assert generation.base is not None
    network, _ = train._untrained(generation, params.train, Path())  # noqa: SLF001
    rounds, steps = generation.rounds, generation.lineage.steps.run
    schedule = schedule_of(params.train, steps, warm=True)
    loader = TrainLoader(data, list(generation.spec.classes), params.train, rounds)
    images = loader.images_of_classes(len(generation.spec.classes))
    classifier = Classifier(network, generation.spec, params.train, schedule, images)
    rows = rows_of_new_classes(generation, data, params.train.seed) if imprinted else {}
    torch.save(warm_start(generation.base, classifier, params.train, generation.changes, rows), "start")
    shown = partial(sample, data, count=train.STATISTICS, batch_size=params.train.batch_size, seed=params.train.seed)
    averaged = AveragedWeights(network, shown)
    watch = Watch(averaged, network, test, generation.spec.classes)
    watch.begin(generation.steps_before, steps)
    trainer = trainer_of(params, [watch, averaged], rounds=rounds.before + rounds.length.rounds, folder=Path())
    trainer.fit(classifier, loader, ckpt_path="start", weights_only=True)
    return watch.found


def images_of(data: Data, seed: int, counts: dict[str, int]) -> Dataset:
    """Return the given number of images of each class, different ones for each seed, sorted by id."""
    labels = data.train.labels
    chosen = [np.flatnonzero(labels == name)[seed * EACH :][:count] for name, count in counts.items()]
    places = np.concatenate(chosen)
    places = places[np.argsort(data.train.ids[places])]
    pixels = PixelSource.of(data.train.images.pixels[places])
    return Dataset(ids=data.train.ids[places], labels=labels[places], images=pixels)


def classes(scratch: Path, scale: Scale) -> Rows:
    """Measure a generation that adds two classes, with as many images as the others, or with a few."""
    assert FASHION.exists(), "install Debian's dataset-fashion-mnist"
    torch.set_num_threads(1)
    data, each = fashion(), 30 if scale.quick else EACH
    old = dict.fromkeys(sorted({*data.train.labels.tolist()} - {*NEW}), each)
    ways = {(new, imprinted): list[dict[float, Measured]]() for new in (each, 20) for imprinted in (True, False)}
    for seed in range(scale.rounds(3)):
        params = params_of(data.train.images.pixels.shape, seed, {"epochs": scale.rounds(12), "precision": "32-true"})
        folder = scratch / str(seed)
        folder.mkdir()
        os.chdir(folder)
        train_next(images_of(data, seed, old), params, None).rename(folder / "base")
        paths.BASE.parent.mkdir()
        (folder / "base").rename(paths.BASE)
        for (new, imprinted), found in ways.items():
            arrived = images_of(data, seed, old | dict.fromkeys(NEW, new))
            found.append(measure(arrived, data.test, params, imprinted=imprinted))
    for (new, imprinted), found in ways.items():
        name = f"2 new classes of {new} images, {'their features' if imprinted else 'drawn rows'}"
        for share in SHARES:
            both = [spread([one[share][place] for one in found], "%", 1) for place in (0, 1)]
            yield Row(f"{name}, after {share:.0%}", f"new classes {both[0]}, old ones {both[1]}")


if __name__ == "__main__":
    main(__doc__, {"classes": classes})
