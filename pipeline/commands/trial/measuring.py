"""Measure time and memory of one batch of each stage, and estimate the duration of a training."""

import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pipeline.commands.trial.samples import BATCHES, Samples, decoded
from pipeline.images.dataset import Dataset
from pipeline.images.pixel_source import in_batches
from pipeline.models.device import device
from pipeline.models.features import look
from pipeline.models.layers import freeze_layers
from pipeline.models.network import Network, build
from pipeline.models.precision import precision_on
from pipeline.params import Params
from pipeline.training.drawing.budget import length_of
from pipeline.training.generation import plan, wanted_spec
from pipeline.training.optimizers import schedule_of

# Number of new images that the estimate of a generation assumes, and of all images if the project has none yet.
NEW, ALL = 100, 1000
# Names of the stage that prepares images before a training step.
AUGMENT, FEATURES = "augment", "features"


class Row(NamedTuple):
    """The time that a stage takes."""

    stage: str
    seconds: float
    """Seconds per batch."""
    images: int
    """Images per batch."""

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.images / self.seconds if self.seconds else 0.0


class Expectation(NamedTuple):
    """The estimated duration of a training."""

    what: str
    steps: int
    seconds: float


def measure(params: Params, samples: Samples) -> Iterator[Row]:
    """Measure each stage: decode the project's images, augment or compute features, a training step, evaluation."""
    if samples.total:
        batches = in_batches(np.arange(len(samples.dataset)), params.train.batch_size)
        yield _timed("decode", samples.dataset.images.batches(batches), len)
    dataset, where = decoded(samples.dataset), device(params.compute)
    yield from _training(params, dataset, where)
    yield _evaluation(params, dataset, where)


def memory_peak(where: torch.device) -> tuple[int, str]:
    """Return the peak memory so far, in bytes, and what it was measured of: `GPU` or `process`."""
    if where.type == "cuda":
        return torch.cuda.max_memory_allocated(where), "GPU"
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, "process"


def expect(params: Params, samples: Samples, rows: list[Row]) -> list[Expectation]:
    """Estimate the duration of the next generation, and of a training from scratch, from the measured `rows`."""
    from pipeline.training.feeding.sources import views_of

    taken = {row.stage: row for row in rows}
    total = samples.total or ALL
    warm = length_of(params.train, images=total + NEW, changed=NEW, warm=True).steps
    cold = length_of(params.train, images=total, changed=total, warm=False).steps

    def seconds(steps: int, looked_at: int) -> float:
        parts = steps * params.train.accumulate
        if FEATURES not in taken:
            return parts * (taken[AUGMENT].seconds + taken["step"].seconds)
        # Features are computed once for each view.
        views = views_of(samples.dataset, params.train)
        return parts * taken["step"].seconds + looked_at * (views.count if views else 1) / taken[FEATURES].rate

    return [
        Expectation(f"a generation of {NEW} new images", warm, seconds(warm, NEW)),
        Expectation(f"from scratch, {total:,} images", cold, seconds(cold, total)),
    ]


def _training(params: Params, dataset: Dataset, where: torch.device) -> Iterator[Row]:
    """Measure preparation and training step of each (part of a) batch; the first step, with setup, is skipped."""
    from pipeline.training.feeding.loader import TrainLoader
    from pipeline.training.feeding.sources import KeptFeatures, sources_of
    from pipeline.training.module import Classifier
    from pipeline.training.trainer import prepare

    prepare(params)
    generation = plan(params, pd.Series(dataset.labels, index=pd.Index(dataset.ids)))
    spec, train = generation.spec, params.train
    network = build(spec)
    freeze_layers(network, train.freeze)
    source = sources_of(network, spec, (dataset, dataset), params, where).training
    loader = TrainLoader(dataset, list(spec.classes), train, generation.rounds, source)
    schedule = schedule_of(train, generation.rounds.length.steps, warm=False)
    classifier = Classifier(network, spec, train, schedule, loader.images_of_classes(len(spec.classes))).to(where)
    optimizer = classifier.configure_optimizers()["optimizer"]
    kind = precision_on(where, train.precision).partition("-")[0]
    types = {"bf16": torch.bfloat16, "16": torch.float16}

    def step(batch: Any) -> Tensor:
        moved = _moved(batch, where)
        with torch.autocast(where.type, types.get(kind), enabled=kind in types):
            loss = classifier.training_step(moved, 1)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return batch.targets  # type: ignore[no-any-return]

    kept: list[Any] = []

    def augmented() -> Iterator[Tensor]:
        for batch in islice(loader, BATCHES * train.accumulate):
            kept.append(batch)
            yield batch.targets

    made = FEATURES if isinstance(source, KeptFeatures) else AUGMENT
    yield _timed(made, augmented(), len, first=train.accumulate)
    yield _timed("step", map(step, kept), len, first=train.accumulate)


def _moved(value: Any, where: torch.device) -> Any:
    """Return a batch, or a part of a batch, moved to the device `where`."""
    if isinstance(value, tuple):
        return type(value)(*(_moved(part, where) for part in value))
    return value.to(where) if isinstance(value, Tensor) else value


def _evaluation(params: Params, dataset: Dataset, where: torch.device) -> Row:
    spec = wanted_spec(params, np.unique(dataset.labels).tolist())
    network: Network = build(spec).eval().to(where)
    batches = dataset.images.batches(in_batches(np.arange(len(dataset)), params.compute.batch_size))
    with torch.inference_mode():
        return _timed("evaluate", (look(network, torch.from_numpy(one).to(where)).logits for one in batches), len)


def _timed(stage: str, batches: Iterator[Any], size: Callable[[Any], int], *, first: int = 1) -> Row:
    """Measure the mean time of `batches`, without the `first` ones if there are more."""
    times, sizes, before = [], [], time.perf_counter()
    for batch in batches:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        times.append(now - before)
        sizes.append(size(batch))
        before = time.perf_counter()
    kept = slice(first if len(times) > first else 0, None)
    return Row(stage, sum(times[kept]) / len(times[kept]), round(sum(sizes[kept]) / len(sizes[kept])))
