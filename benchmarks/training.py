"""What training costs, against others in the same run: `python benchmarks/training.py [NAME…]`.

Names: small, photos (loading, against torchvision's ImageFolder), step (against a bare PyTorch loop), save, jump.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from scratch import ROOT, photographs, report, small_images

from pipeline.dataset import Dataset
from pipeline.loader import Batch, TrainLoader
from pipeline.params import Train, read_params
from pipeline.reading import to_pixels
from pipeline.stack import Stack

# torchvision lies beside the rest, since it makes every import of lightning slower.
sys.path.append(str(ROOT / ".venv/timm"))
PARAMS = read_params(ROOT / "params.yaml").train
BATCH = 64


def spread(ratios: list[float]) -> str:
    """The median, and the smallest and largest."""
    return f"{statistics.median(ratios):.2f} × ({min(ratios):.2f}-{max(ratios):.2f})"


def rate(batches: Iterator[Any], count: int) -> float:
    """Images a second, after the first batch."""
    next(batches)
    started, images = time.perf_counter(), 0
    for batch in islice(batches, count // BATCH):
        images += len(batch[0])
    return images / (time.perf_counter() - started)


def ours(folder: Path, size: int, mode: str) -> Iterator[Batch]:
    """Batches of the images in `folder` as the stage loads them: decoded once, which is not counted."""
    files = sorted(folder.rglob("*.*"))
    pixels = np.stack([to_pixels(Image.open(path), mode=mode, size=size) for path in files])
    ids = np.array([f"{number:032x}" for number in range(len(files))])
    data = Dataset(ids=ids, labels=np.array([path.parent.name for path in files]), images=Stack.of(pixels))
    params: Train = PARAMS.model_copy(update={"batch_size": BATCH})
    loader = TrainLoader(data, sorted(set(data.labels)), params, np.ones(len(files), np.bool_))
    while True:
        yield from loader


def image_folder(folder: Path, size: int, mode: str) -> Iterator[Any]:
    """Batches of the same images from torchvision's ImageFolder, augmented alike, by two workers."""
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    most = round(PARAMS.augment.shift * size)
    grey = [transforms.Grayscale()] if mode == "grey" else []
    scaled = [transforms.Resize(size), transforms.CenterCrop(size)] if size > 28 else []
    shifted = transforms.RandomCrop(size, padding=most, padding_mode="edge")
    data = ImageFolder(str(folder), transforms.Compose([*grey, *scaled, shifted, transforms.PILToTensor()]))
    loader = DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=2, persistent_workers=True)
    while True:
        yield from loader


def loading(name: str, folder: Path, size: int, mode: str, count: int) -> None:
    """Report the rates of both loaders, in turn."""
    mine, theirs, ratios = ours(folder, size, mode), image_folder(folder, size, mode), []
    for _ in range(5):
        rates = rate(mine, 5 * count), rate(theirs, count)
        ratios.append(rates[0] / rates[1])
    report(f"loading {name}, against ImageFolder with 2 workers", f"{spread(ratios)}; {rates[0]:,.0f} images/s")


def small(folder: Path) -> None:
    """28 × 28 PNGs."""
    for name, data in small_images(20_000):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    loading("28 × 28 PNGs", folder, 28, "grey", 10_000)


def photos(folder: Path) -> None:
    """500 × 375 JPEGs to 224 pixels."""
    photographs(folder, 1000)
    loading("500 × 375 JPEGs to 224 px", folder, 224, "rgb", 1000)


def made_up(count: int) -> Dataset:
    """Noise, 28 × 28."""
    chance = np.random.default_rng(0)
    ids = np.array(sorted(chance.bytes(16).hex() for _ in range(count)))
    labels = np.array([f"class {number % 10}" for number in range(count)])
    return Dataset(ids=ids, labels=labels, images=Stack.of(chance.integers(0, 256, (count, 1, 28, 28), dtype=np.uint8)))


def trained(data: Dataset, **changes: Any) -> tuple[float, int]:
    """The seconds that training a model in the working directory takes, and its steps."""
    from accuracy import params_of

    from pipeline import paths
    from pipeline.base import FIRST, NONE
    from pipeline.generation import plan
    from pipeline.progress import Progress
    from pipeline.train import fit

    paths.BASE.mkdir(parents=True, exist_ok=True)
    (paths.BASE / NONE).write_text(FIRST + "\n")
    params = params_of(28, 0, changes)
    nothing = Dataset(ids=data.ids[:0], labels=data.labels[:0], images=Stack.of(data.images.pixels[:0]))
    generation = plan(params, pd.Series(data.labels, index=data.ids, dtype=str))
    started = time.perf_counter()
    fit(generation, data, nothing, params, Progress("benchmark"))
    return time.perf_counter() - started, generation.lineage.steps.run


def bare(data: Dataset, epochs: int) -> float:
    """The seconds that a plain loop takes for the same network, batches and precision."""
    from torch.nn.functional import cross_entropy

    from pipeline.model import Spec, build

    spec = Spec(model="small", size=28, mode="grey", classes=tuple(sorted(set(data.labels))))
    network = build(spec)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=PARAMS.weight_decay)
    images, targets = torch.from_numpy(data.images.pixels), torch.from_numpy(pd.factorize(data.labels)[0])
    torch.use_deterministic_algorithms(mode=True)
    started = time.perf_counter()
    for _ in range(epochs):
        for chosen in torch.randperm(len(images)).split(BATCH):
            loss = cross_entropy(network(images[chosen]), targets[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return time.perf_counter() - started


def step(folder: Path) -> None:
    """Epochs of the stage, beyond what it takes to begin and to end, against those of a plain loop."""
    os.chdir(folder)
    data, ratios = made_up(6400), []
    trained(data, epochs=1)
    for _ in range(5):
        beyond = trained(data, epochs=4)[0] - trained(data, epochs=1)[0]
        ratios.append(bare(data, 3) / beyond)
    report("training throughput, against a bare PyTorch loop without augmentation", spread(ratios))


def save(folder: Path) -> None:
    """What one saving costs, and its share of training time at the default interval."""
    os.chdir(folder)
    data, costs = made_up(6400), []
    trained(data, epochs=1)
    for _ in range(5):
        always, steps = trained(data, epochs=1, save_every=1e-9)
        costs.append((always - trained(data, epochs=1)[0]) / steps)
    cost = statistics.median(costs)
    share = f"{cost / PARAMS.save_every:.3%} of the time at one in {PARAMS.save_every:.0f} s"
    report("saving the progress of `small`", f"{1000 * cost:.0f} ms, {share}")


def jump(folder: Path) -> None:
    """The time to the first batch at 90 % of an epoch, against that at its start."""
    del folder
    data = made_up(60_000)
    params: Train = PARAMS.model_copy(update={"batch_size": BATCH})
    loader = TrainLoader(data, sorted(set(data.labels)), params, np.ones(len(data), np.bool_))
    ratios = []
    for _ in range(50):
        seconds = []
        for place in (0, 9 * len(loader) // 10):
            started = time.perf_counter()
            loader.load_state_dict({"position": place})
            next(iter(loader))
            seconds.append(time.perf_counter() - started)
        ratios.append(seconds[1] / seconds[0])
    report("first batch at 90 % of an epoch of 60,000 images, against its start", spread(ratios))


BENCHMARKS = {"small": small, "photos": photos, "step": step, "save": save, "jump": jump}

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHMARKS:
        with tempfile.TemporaryDirectory(prefix="treering-benchmark-") as scratch:
            BENCHMARKS[name](Path(scratch))
            os.chdir("/")
