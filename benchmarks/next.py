"""The benefit of labels chosen by `pipeline next`, against random ones: `benchmarks/next.py [NAME…]`.

Names:
- few, more: Fashion-MNIST, a first model of 500 or 2,000 images, 10,000 unlabelled images, 200 of which get labels, and
  a warm start on all labelled images. Accuracy is measured on the 10,000 test images, with three seeds and different
  images for each. The selection method was developed on other images and seeds;
- rate: the time of choosing 1,000 of 100,000 images.
"""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from accuracy import accuracy, params_of, train_next
from reporting import Benchmark, Row, Rows, Scale, main, spread
from study_data import fashion

from pipeline.commands.next.ranking import rank
from pipeline.images.dataset import Dataset
from pipeline.images.pixel_source import PixelSource
from pipeline.models.checkpoint import read_network
from pipeline.models.features import look
from pipeline.models.network import Network

SEEDS = range(3)
LABELLED = 200
# Only the first images of the training set: the selection method was developed on the others.
OURS = 20_000
Chosen = npt.NDArray[np.intp]


def part(data: Dataset, rows: Chosen) -> Dataset:
    """Return the images `rows` of `data`, sorted by id as in a manifest."""
    rows = rows[np.argsort(data.ids[rows])]
    pixels = PixelSource.of(np.ascontiguousarray(data.images.pixels[rows]))
    return Dataset(ids=data.ids[rows], labels=data.labels[rows], images=pixels)


def chosen_by(network: Network, data: Dataset, pool: Chosen, count: int, seed: int) -> Chosen:
    """Return the `count` images of `pool` that `pipeline next` would choose."""
    with torch.inference_mode():
        seen = [look(network, batch) for batch in torch.from_numpy(data.images.pixels[pool]).split(500)]
    features = torch.cat([one.features for one in seen]).numpy()
    probabilities = torch.cat([one.logits for one in seen]).double().softmax(1).numpy()
    return pool[rank(features, probabilities, count, seed)]


def accuracies(seed: int, first: int, pool: int, folder: Path) -> tuple[float, float, float]:
    """Return the accuracies of the first model, after random labels, and after chosen labels, in per cent."""
    data = fashion()
    order = np.random.default_rng(seed).permutation(OURS)
    known, unknown = order[:first], order[first : first + pool]
    params = params_of(data.train.images.pixels.shape, seed, {})
    folder.mkdir()
    os.chdir(folder)
    base = train_next(part(data.train, known), params, None).rename(folder / "first")
    network, spec = read_network(base)
    chance = np.random.default_rng(seed)
    ways = {
        "random": chance.choice(unknown, LABELLED, replace=False),
        "next": chosen_by(network, data.train, unknown, LABELLED, params.manifest.seed),
    }
    reached = [accuracy(network, spec.classes, data.test)]
    for name, labelled in ways.items():
        start = Path(shutil.copytree(base, folder / name))
        model = train_next(part(data.train, np.concatenate([known, labelled])), params, start)
        trained, spec = read_network(model)
        reached.append(accuracy(trained, spec.classes, data.test))
    before, randomly, asked = reached
    return before, randomly, asked


def after_labels(folder: Path, scale: Scale, first: int) -> Rows:
    """Measure accuracy before labelling, and after both ways of labelling."""
    pool = max(LABELLED, scale.count(10_000))
    seeds = SEEDS[: scale.rounds(len(SEEDS))]
    results = [accuracies(seed, first, pool, folder / str(seed)) for seed in seeds]
    before, randomly, asked = zip(*results, strict=True)
    yield Row(f"a first model of {first:,} images", spread(before, "%"))
    yield Row(f"… and {LABELLED} more at random", spread(randomly, "%"))
    yield Row(f"… and {LABELLED} more that `pipeline next` chose", spread(asked, "%"))
    gains = (one - other for one, other in zip(asked, randomly, strict=True))
    yield Row("the difference of the last two, seed by seed", spread(gains, "points"))


def few(folder: Path, scale: Scale) -> Rows:
    """Measure with a weak first model."""
    yield from after_labels(folder, scale, 500)


def more(folder: Path, scale: Scale) -> Rows:
    """Measure with a better first model."""
    yield from after_labels(folder, scale, 2_000)


def rate(_folder: Path, scale: Scale) -> Rows:
    """Measure the choice alone; inference takes as long as `pipeline predict`."""
    chance, count = np.random.default_rng(0), scale.count(100_000)
    features = chance.normal(size=(count, 128)).astype(np.float32)
    probabilities = chance.dirichlet(np.ones(10), count)
    started = time.perf_counter()
    rank(features, probabilities, count // 100, 0)
    yield Row(f"choosing {count // 100:,} of {count:,} images", f"{time.perf_counter() - started:.1f} s")


BENCHMARKS: dict[str, Benchmark] = {"few": few, "more": more, "rate": rate}

if __name__ == "__main__":
    main(__doc__, BENCHMARKS)
