"""What warm starts reach at a fraction of the steps: `python benchmarks/accuracy.py DATA [--seeds N] [--chain]`.

DATA is `fashion` (Debian's dataset-fashion-mnist) or `digits` (scikit-learn's). Without `--chain`, one generation of
+10 % on a well-trained base; with it, the growth of ten times +10 % in `--generations` of equal growth, several numbers
of them one after the other. Each figure is the accuracy on images that no training saw; steps are those of all
generations after the first. Trains as the stage does, with params.yaml's values but for those that are given for all
(`--optimizer`, `--lr`) or for a row (`--passes`, `--also`). The differences are to a training from scratch with AdamW
and its schedule, at its best learning rate, as much as to one with the optimizer of the others.
"""

import argparse
import gzip
import os
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from ruamel.yaml import YAML
from scratch import ROOT
from sklearn.datasets import load_digits
from tqdm import tqdm

from pipeline import paths
from pipeline.images.dataset import Dataset
from pipeline.images.pixel_source import PixelSource
from pipeline.lineage.base import FIRST, NONE
from pipeline.lineage.lineage import read_lineage
from pipeline.models.checkpoint import read_network
from pipeline.params import Params, read_params
from pipeline.training.generation import plan
from pipeline.training.progress import Progress

FASHION = Path("/usr/share/datasets/fashion-mnist")
COLD: dict[str, Any] = {"cold": True}
# The default of earlier releases.
SCHEDULE: dict[str, Any] = {**COLD, "optimizer": "adamw", "lr": 4e-3}
# What is compared besides the numbers of passes: the changes to `train:` of each row.
POLICIES: dict[str, dict[str, Any]] = {
    "weights": {"start": "weights"},
    "shrink_perturb": {"start": "shrink_perturb"},
}


class Data(NamedTuple):
    """Images to train on, in the order in which they come, and to measure on."""

    train: Dataset
    test: Dataset


class Sizes(NamedTuple):
    """How many images the base is trained on."""

    base: int
    chain: int


SIZES = {"fashion": Sizes(10_000, 5_000), "digits": Sizes(1_300, 550)}


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
    return Dataset(ids=ids, labels=np.array([f"class {label}" for label in labels]), images=PixelSource.of(pixels))


def first(data: Dataset, count: int) -> Dataset:
    """The first images, sorted by id, as a manifest lists them."""
    order = np.argsort(data.ids[:count])
    return Dataset(ids=data.ids[order], labels=data.labels[order], images=PixelSource.of(data.images.pixels[order]))


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
    nothing = Dataset(ids=data.ids[:0], labels=data.labels[:0], images=PixelSource.of(data.images.pixels[:0]))
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


class Study(NamedTuple):
    """What is trained on, and where models lie until the end."""

    data: str
    chain: bool
    quick: bool
    common: dict[str, Any]
    """Changes to `train:` of all that is trained."""
    folder: Path

    def sizes(self, generations: int) -> list[int]:
        """How many images the base is trained on, and each of so many generations after it."""
        sizes = SIZES[self.data]
        first = (sizes.chain if self.chain else sizes.base) // (10 if self.quick else 1)
        growth = 1.1 ** (10 if self.chain else 1)
        return [round(first * growth ** (number / generations)) for number in range(generations + 1)]


class Result(NamedTuple):
    """Of one seed."""

    accuracy: float
    """In per cent."""
    steps: int
    """Of all generations after the first."""
    model: Path


def trained(study: Study, seed: int, changes: dict[str, Any], generations: int, base: Path | None) -> Result:
    """What the last of `generations` reaches: from scratch, or after all those between it and `base`."""
    torch.set_num_threads(1)
    os.chdir(study.folder)
    data = read_data(study.data)
    trained_with = {name: value for name, value in {**study.common, **changes}.items() if name not in COLD}
    params = params_of(data.test.images.pixels.shape[-1], seed, trained_with)
    steps = 0
    if changes.keys() & COLD:
        model = train_next(first(data.train, study.sizes(1)[-1]), params, None)
    elif base is None:
        model = train_next(first(data.train, study.sizes(1)[0]), params, None)
    else:
        model = base
        for size in study.sizes(generations)[1:]:
            model = train_next(first(data.train, size), params, model)
            steps += read_lineage(model).steps.run
    return Result(accuracy(model, data.test), steps or read_lineage(model).steps.run, model)


def run(
    study: Study, policies: dict[str, dict[str, Any]], cuts: list[int], seeds: range
) -> dict[tuple[int, str], list[Result]]:
    """The results by number of generations and row, in the order of the seeds; as many at a time as there are cores."""
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        bases = list(pool.map(partial(trained, study), seeds, repeat({}), repeat(0), repeat(None)))
        rows = {(0, "from scratch"): COLD, (0, "from scratch, with a schedule"): SCHEDULE}
        rows |= {(cut, row): changes for cut in cuts for row, changes in policies.items()}
        waiting = {
            (cut, row): [
                pool.submit(trained, study, seed, changes, cut, base.model)
                for seed, base in zip(seeds, bases, strict=True)
            ]
            for (cut, row), changes in rows.items()
        }
        everything = [future for futures in waiting.values() for future in futures]
        for _ in tqdm(as_completed(everything), "training", len(everything), disable=None):
            pass
        return {
            (0, "the base itself"): bases,
            **{row: [one.result() for one in futures] for row, futures in waiting.items()},
        }


def _gap(ones: list[Result], others: list[Result]) -> str:
    """How much more accurate `ones` are than `others`, seed by seed."""
    gaps = [one.accuracy - other.accuracy for one, other in zip(ones, others, strict=True)]
    return f"{mean(gaps):+.2f} ({min(gaps):+.2f} to {max(gaps):+.2f})"


def main() -> None:
    """Run the study, print a row of a table for each way to start, and write each result to a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=SIZES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0, help="settings are chosen on others than are reported")
    parser.add_argument("--chain", action="store_true")
    parser.add_argument("--generations", type=int, nargs="*", default=[10], help="of a chain, after the first")
    parser.add_argument("--optimizer", choices=["schedule_free", "adamw"], help="of all rows, and the base")
    parser.add_argument("--lr", type=float, help="of all rows, and the base")
    parser.add_argument("--passes", type=float, nargs="*", default=[], help="a row each; that of params.yaml otherwise")
    parser.add_argument("--quick", action="store_true", help="try whether it runs; the figures mean nothing")
    parser.add_argument("--precision", default="bf16-mixed", help="faster than 32-true where the processor knows it")
    parser.add_argument("--csv", type=Path, help="where each result is written")
    parser.add_argument("--also", action="append", default=[], metavar="KEY=VALUE,…", help="a row more, for a try")
    parser.add_argument("--only-also", action="store_true", help="only these rows, and those of --passes")
    arguments = parser.parse_args()
    policies: dict[str, dict[str, Any]] = {f"passes {passes:g}": {"passes": passes} for passes in arguments.passes}
    if not arguments.only_also:
        policies = {**(policies or {"full": {}}), **POLICIES}
    for text in arguments.also:
        pairs = (pair.split("=") for pair in text.split(","))
        policies[text] = {"start": "full", **{key: YAML(typ="safe").load(value) for key, value in pairs}}
    with tempfile.TemporaryDirectory() as folder:
        given = {key: getattr(arguments, key) for key in ("optimizer", "lr", "precision")}
        common = {key: value for key, value in given.items() if value is not None}
        cuts = arguments.generations if arguments.chain else [1]
        study = Study(arguments.data, arguments.chain, arguments.quick, common, Path(folder))
        results = run(study, policies, cuts, range(arguments.first_seed, arguments.first_seed + arguments.seeds))
    lines = []
    for (cut, row), ones in results.items():
        accuracies = [one.accuracy for one in ones]
        spread = f"{min(accuracies):.2f}-{max(accuracies):.2f}"
        others = (results[0, scratch] for scratch in ("from scratch, with a schedule", "from scratch"))
        against = " | ".join(_gap(ones, other) for other in others)
        share = ones[0].steps / results[0, "from scratch"][0].steps
        name = f"{cut} generations, {row}" if cut else row
        print(
            f"| {name} | {ones[0].steps:,} | {share:.1%} | {mean(accuracies):.2f} % ({spread}) | {against} |",
            flush=True,
        )
        lines += [(arguments.data, cut, row, seed, one.steps, one.accuracy) for seed, one in enumerate(ones)]
    if arguments.csv:
        columns = ["data", "generations", "row", "seed", "steps", "accuracy"]
        pd.DataFrame(lines, columns=columns).to_csv(
            arguments.csv, mode="a", header=not arguments.csv.exists(), index=False
        )


if __name__ == "__main__":
    main()
