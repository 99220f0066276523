"""What a warm start reaches at a fraction of the steps: `python benchmarks/accuracy.py DATA [--seeds N] [--chain]`.

DATA is `fashion` (Debian's dataset-fashion-mnist) or `digits` (scikit-learn's). Without `--chain`, one generation of
+10 % on a well-trained base; with it, ten such generations one after the other. Each figure is the accuracy on images
that no training saw. Trains as the stage does, with params.yaml's values but for those that a row names.
"""

import argparse
import gzip
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scratch import ROOT, report
from sklearn.datasets import load_digits

from pipeline import paths
from pipeline.base import FIRST, NONE
from pipeline.checkpoint import read_network
from pipeline.dataset import Dataset
from pipeline.generation import plan
from pipeline.lineage import read_lineage
from pipeline.params import Params, read_params
from pipeline.progress import Progress
from pipeline.stack import Stack

FASHION = Path("/usr/share/datasets/fashion-mnist")
COLD: dict[str, Any] = {"start": "cold"}
SAME_BUDGET: dict[str, Any] = {"start": "cold", "epochs": 1}
# What is compared: the changes to `train:` of each row.
POLICIES: dict[str, dict[str, Any]] = {
    "full": {"start": "full"},
    "weights": {"start": "weights"},
    "shrink_perturb": {"start": "shrink_perturb"},
    "from scratch, same budget": SAME_BUDGET,
}


class Data(NamedTuple):
    """Images to train on, in the order in which they come, and to measure on."""

    train: Dataset
    test: Dataset


class Sizes(NamedTuple):
    """How many images the base is trained on."""

    base: int
    chain: int


SIZES = {"fashion": Sizes(20_000, 10_000), "digits": Sizes(1_300, 550)}


def read_data(name: str) -> Data:
    """The data set `name`."""
    if name == "digits":
        digits = load_digits()
        pixels = (digits.images * 255 / 16).astype(np.uint8)[:, None]
        order = np.random.default_rng(0).permutation(len(pixels))
        images, labels = np.ascontiguousarray(pixels[order]), digits.target[order]
        return Data(dataset(images[:-360], labels[:-360]), dataset(images[-360:], labels[-360:]))
    parts = []
    for part in ("train", "t10k"):
        pixels, labels = (
            np.frombuffer(gzip.decompress((FASHION / f"{part}-{kind}-ubyte.gz").read_bytes()), np.uint8)[skip:]
            for kind, skip in (("images-idx3", 16), ("labels-idx1", 8))
        )
        parts.append(dataset(pixels.reshape(-1, 1, 28, 28), labels))
    return Data(*parts)


def dataset(pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.integer[Any]]) -> Dataset:
    """Images with ids as ingest would give them."""
    chance = np.random.default_rng(1)
    ids = np.array([chance.bytes(16).hex() for _ in labels])
    return Dataset(ids=ids, labels=np.array([f"class {label}" for label in labels]), images=Stack.of(pixels))


def first(data: Dataset, count: int) -> Dataset:
    """The first images, sorted by id, as a manifest lists them."""
    order = np.argsort(data.ids[:count])
    return Dataset(ids=data.ids[order], labels=data.labels[order], images=Stack.of(data.images.pixels[order]))


def train_next(data: Dataset, params: Params, base: Path | None) -> Path:
    """Train the generation after the model in the folder `base`; returns the folder of the new model."""
    from pipeline.train import fit

    folder = Path(tempfile.mkdtemp(dir=Path.cwd()))
    os.chdir(folder)
    paths.BASE.parent.mkdir()
    if base is None:
        paths.BASE.mkdir()
        (paths.BASE / NONE).write_text(FIRST + "\n")
    else:
        shutil.copytree(base, paths.BASE)
    nothing = Dataset(ids=data.ids[:0], labels=data.labels[:0], images=Stack.of(data.images.pixels[:0]))
    generation = plan(params, pd.Series(data.labels, index=data.ids, dtype=str))
    fit(generation, data, nothing, params, Progress("study"))
    os.chdir(folder.parent)
    shutil.rmtree(folder / paths.BASE)
    return folder / paths.MODEL


def accuracy(model: Path, test: Dataset) -> float:
    """In per cent."""
    network, spec = read_network(model)
    with torch.inference_mode():
        logits = torch.cat([network(batch) for batch in torch.from_numpy(test.images.pixels.copy()).split(500)])
    right = np.array(spec.classes)[logits.argmax(1).numpy()] == test.labels
    return 100 * float(right.mean())


def params_of(size: int, seed: int, changes: dict[str, Any]) -> Params:
    """params.yaml's, for grey images of `size` pixels, with `changes` to the section `train`."""
    params = read_params(ROOT / "params.yaml")
    train = params.train.model_copy(update={"seed": seed, "size": size, **changes})
    ingest = params.ingest.model_copy(update={"mode": "grey"})
    compute = params.compute.model_copy(update={"accelerator": "cpu"})
    return params.model_copy(update={"ingest": ingest, "train": train, "compute": compute})


Result = dict[str, tuple[float, int]]
"""Accuracy and steps of the last generation, by row."""


def one_generation(name: str, policies: dict[str, dict[str, Any]], seed: int) -> Result:
    """A base, and ten per cent more."""
    data, size = read_data(name), SIZES[name].base
    side = data.test.images.pixels.shape[-1]
    base = train_next(first(data.train, size), params_of(side, seed, {}), None)
    grown = first(data.train, size * 11 // 10)
    return {
        "the base itself": (accuracy(base, data.test), 0),
        **{
            row: _measured(train_next(grown, params_of(side, seed, changes), base), data)
            for row, changes in {"from scratch": COLD, **policies}.items()
        },
    }


def chain(name: str, policies: dict[str, dict[str, Any]], seed: int) -> Result:
    """A base, and ten times ten per cent more."""
    data, size = read_data(name), SIZES[name].chain
    side = data.test.images.pixels.shape[-1]
    sizes = [round(size * 1.1**number) for number in range(11)]
    base = train_next(first(data.train, size), params_of(side, seed, {}), None)
    result = {"the base itself": (accuracy(base, data.test), 0)}
    last = first(data.train, sizes[-1])
    for row, changes in {"from scratch": COLD, **policies}.items():
        if changes["start"] == "cold":
            result[row] = _measured(train_next(last, params_of(side, seed, changes), None), data)
            continue
        model = base
        for count in sizes[1:]:
            model = train_next(first(data.train, count), params_of(side, seed, changes), model)
        result[row] = _measured(model, data)
    return result


def _measured(model: Path, data: Data) -> tuple[float, int]:
    return accuracy(model, data.test), read_lineage(model).steps.run


def quietly(study: Callable[[int], Result], seed: int) -> Result:
    """`study` in a folder of its own, on one core."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        result = study(seed)
        os.chdir("/")
    return result


def main() -> None:
    """Run the study, as many seeds at a time as there are cores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=SIZES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--chain", action="store_true")
    parser.add_argument("--also", action="append", default=[], metavar="KEY=VALUE,…", help="a row more, for a try")
    arguments = parser.parse_args()
    policies = dict(POLICIES)
    for text in arguments.also:
        pairs = (pair.split("=") for pair in text.split(","))
        changes = {key: value if value.isalpha() or "_" in value else _number(value) for key, value in pairs}
        policies[text] = {"start": "full", **changes}
    study = partial(chain if arguments.chain else one_generation, arguments.data, policies)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        results = list(pool.map(partial(quietly, study), range(arguments.seeds)))
    for row in results[0]:
        figures = sorted(result[row][0] for result in results)
        gaps = [result[row][0] - result["from scratch"][0] for result in results]
        figure = f"{statistics.mean(figures):.2f} % ({figures[0]:.1f}-{figures[-1]:.1f})"
        report(row, f"{results[0][row][1]:,} steps | {figure} | {statistics.mean(gaps):+.2f}")


def _number(text: str) -> float | int:
    return int(text) if text.isdigit() else float(text)


if __name__ == "__main__":
    main()
