"""The overhead of training, against a bare loop in the same run: `python benchmarks/training.py [NAME…]`.

Names:
- step: against a bare PyTorch loop with the same network, batches, precision and optimizer;
- save: saving the progress.
"""

import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from reporting import Benchmark, Row, Rows, Scale, main, spread
from scratch import ROOT

from pipeline.images.dataset import Dataset
from pipeline.images.pixel_source import PixelSource
from pipeline.params import read_params

PARAMS = read_params(ROOT / "params.yaml").train
BATCH = 64


def made_up(count: int) -> Dataset:
    """Return `count` images of noise, 28 × 28."""
    chance = np.random.default_rng(0)
    ids = np.array(sorted(chance.bytes(16).hex() for _ in range(count)))
    labels = np.array([f"class {number % 10}" for number in range(count)])
    return Dataset(
        ids=ids, labels=labels, images=PixelSource.of(chance.integers(0, 256, (count, 1, 28, 28), dtype=np.uint8))
    )


def spent() -> npt.NDArray[np.float64]:
    """Return the seconds of the clock, and the CPU seconds of this process so far."""
    return np.array([time.perf_counter(), time.process_time()])


def trained(data: Dataset, **changes: Any) -> tuple[npt.NDArray[np.float64], int]:
    """Train a model in the working directory; returns the seconds, as those of `spent`, and its steps."""
    from accuracy import params_of

    from pipeline import paths
    from pipeline.lineage.base import FIRST, NONE
    from pipeline.train import fit
    from pipeline.training.generation import plan
    from pipeline.training.progress import Progress

    paths.BASE.mkdir(parents=True, exist_ok=True)
    (paths.BASE / NONE).write_text(FIRST + "\n")
    params = params_of((1, 1, 28, 28), 0, changes)
    nothing = Dataset(ids=data.ids[:0], labels=data.labels[:0], images=PixelSource.of(data.images.pixels[:0]))
    generation = plan(params, pd.Series(data.labels, index=data.ids, dtype=str))
    started = spent()
    fit(generation, data, nothing, params, Progress("benchmark"))
    return spent() - started, generation.lineage.steps.run


def bare(data: Dataset, epochs: int) -> npt.NDArray[np.float64]:
    """Return the seconds of a plain loop with the same network, batches, precision and optimizer."""
    from schedulefree import AdamWScheduleFree
    from torch.nn.functional import cross_entropy

    from pipeline.models.network import Spec, build

    spec = Spec(model="small", size=28, mode="grey", classes=tuple(sorted(set(data.labels))))
    network = build(spec)
    optimizer = AdamWScheduleFree(network.parameters(), lr=1e-3, weight_decay=PARAMS.weight_decay)
    optimizer.train()
    images, targets = torch.from_numpy(data.images.pixels), torch.from_numpy(pd.factorize(data.labels)[0])
    torch.use_deterministic_algorithms(mode=True)
    started = spent()
    for _ in range(epochs):
        for chosen in torch.randperm(len(images)).split(BATCH):
            loss = cross_entropy(network(images[chosen]), targets[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return spent() - started


def step(folder: Path, scale: Scale) -> Rows:
    """Measure epochs of the stage, without its startup and end, against those of a plain loop."""
    os.chdir(folder)
    data, ratios = made_up(scale.count(6400)), []
    trained(data, epochs=1)
    for _ in range(scale.rounds(7)):
        before = bare(data, 3)
        beyond = trained(data, epochs=4)[0] - trained(data, epochs=1)[0]
        ratios.append((before + bare(data, 3)) / 2 / beyond)
    by_clock, by_core = zip(*ratios, strict=True)
    yield Row("training throughput, against a bare PyTorch loop that augments nothing", spread(by_clock, "×"))
    yield Row("the same by seconds of a core, which other processes hardly change", spread(by_core, "×"))


def save(folder: Path, scale: Scale) -> Rows:
    """Measure the time of one save, and its share of training time at the default interval."""
    os.chdir(folder)
    data, costs = made_up(scale.count(6400)), []
    trained(data, epochs=1)
    for _ in range(scale.rounds(5)):
        always, steps = trained(data, epochs=1, save_every=1e-9)
        costs.append((always - trained(data, epochs=1)[0])[0] / steps)
    cost = statistics.median(costs)
    share = f"{cost / PARAMS.save_every:.3%} of the time at one in {PARAMS.save_every:.0f} s"
    yield Row("saving the progress of `small`", f"{1000 * cost:.0f} ms, {share}")


BENCHMARKS: dict[str, Benchmark] = {"step": step, "save": save}

if __name__ == "__main__":
    main(__doc__, BENCHMARKS)
