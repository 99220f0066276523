"""What the labels bring that `pipeline next` asks for, against as many at random: `benchmarks/next.py [NAME…]`.

Names: few, more: Fashion-MNIST, a first model of 500 or 2,000 images, 10,000 unlabelled ones, 200 of which get their
labels, and a warm start on all that are labelled. Accuracy is that on the 10,000 test images; there are three seeds,
each with other images. The way to choose was chosen on other images and seeds. rate: choosing 1,000 of 100,000 images.
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
# The first images of the training set; the others were there to try ways of choosing on.
OURS = 20_000
Chosen = npt.NDArray[np.intp]


def part(data: Dataset, rows: Chosen) -> Dataset:
    """The images `rows` of `data`, sorted by id as a manifest lists them."""
    rows = rows[np.argsort(data.ids[rows])]
    pixels = PixelSource.of(np.ascontiguousarray(data.images.pixels[rows]))
    return Dataset(ids=data.ids[rows], labels=data.labels[rows], images=pixels)


def chosen_by(network: Network, data: Dataset, pool: Chosen, count: int, seed: int) -> Chosen:
    """The `count` images of `pool` that `pipeline next` would choose."""
    with torch.inference_mode():
        seen = [look(network, batch) for batch in torch.from_numpy(data.images.pixels[pool]).split(500)]
    features = torch.cat([one.features for one in seen]).numpy()
    probabilities = torch.cat([one.logits for one in seen]).double().softmax(1).numpy()
    return pool[rank(features, probabilities, count, seed)]


def accuracies(seed: int, first: int, pool: int, folder: Path) -> tuple[float, float, float]:
    """Of the first model, after labels at random, and after those that were asked for, in per cent."""
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
    """Accuracy before, and after both."""
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
    """A first model that knows little."""
    yield from after_labels(folder, scale, 500)


def more(folder: Path, scale: Scale) -> Rows:
    """A first model that is better."""
    yield from after_labels(folder, scale, 2_000)


def rate(_folder: Path, scale: Scale) -> Rows:
    """Choosing alone; looking at the images costs what `pipeline predict` costs."""
    chance, count = np.random.default_rng(0), scale.count(100_000)
    features = chance.normal(size=(count, 128)).astype(np.float32)
    probabilities = chance.dirichlet(np.ones(10), count)
    started = time.perf_counter()
    rank(features, probabilities, count // 100, 0)
    yield Row(f"choosing {count // 100:,} of {count:,} images", f"{time.perf_counter() - started:.1f} s")


BENCHMARKS: dict[str, Benchmark] = {"few": few, "more": more, "rate": rate}

if __name__ == "__main__":
    main(__doc__, BENCHMARKS)
