"""Accuracy and cost of training on growing data: `python benchmarks/accuracy.py DATA… --csv TABLE`.

It measures the test accuracy of the last model for each data set, number of generations of equal growth, and row. The
steps are those of all generations after the first. It trains as the stage does, with the values of params.yaml except
those given for all rows (`--lr`, …) or for one row (`--passes`, `--also`, `--peers`). The table shows differences to
training from scratch on all images: with AdamW and its schedule, and without a schedule. Each result is appended to the
CSV table at once and never computed again, so an interrupted study continues.
"""

import argparse
import os
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from ruamel.yaml import YAML
from scratch import ROOT
from study_data import DATA, Data
from study_peers import PEERS, train_peer
from tqdm import tqdm

from pipeline import paths
from pipeline.images.dataset import Dataset
from pipeline.images.pixel_source import PixelSource
from pipeline.lineage.base import FIRST, NONE
from pipeline.lineage.lineage import read_lineage
from pipeline.models.checkpoint import read_network
from pipeline.models.network import Network
from pipeline.params import Params, read_params
from pipeline.training.generation import plan
from pipeline.training.progress import Progress

# The default of earlier releases.
SCHEDULE: dict[str, Any] = {"optimizer": "adamw", "lr": 4e-3}
SCRATCH, SCHEDULED = "from scratch", "from scratch, with a schedule"
# Rows without a chain of generations: the number of generations (-1: all images at once) and changes to `train`.
ANCHORS: dict[str, tuple[int, dict[str, Any]]] = {
    SCHEDULED: (-1, SCHEDULE),
    SCRATCH: (-1, {}),
    "the first model, with a schedule": (0, SCHEDULE),
    "the first model": (0, {}),
}
WARM = {"passes", "min_steps", "warm_epochs", "warm_lr", "warm_mean"}
COLUMNS = ["data", "generations", "row", "seed", "steps", "accuracy"]


class Job(NamedTuple):
    """One result of the study."""

    data: str
    generations: int
    """Generations after the first; -1 for training from scratch on all images."""
    row: str
    seed: int
    changes: dict[str, Any]
    """Changes to the section `train`."""
    peer: str | None = None
    quick: bool = False
    kept: Path | None = None
    """The cache of first models, since several chains begin with the same model."""

    @property
    def key(self) -> tuple[str, int, str, int]:
        """The key of the result in the table."""
        return self.data, max(self.generations, 0), self.row, self.seed


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
        base.rename(paths.BASE)
    nothing = Dataset(ids=data.ids[:0], labels=data.labels[:0], images=PixelSource.of(data.images.pixels[:0]))
    generation = plan(params, pd.Series(data.labels, index=data.ids, dtype=str))
    fit(generation, data, nothing, params, Progress("study"))
    os.chdir(folder.parent)
    shutil.rmtree(folder / paths.BASE)
    return folder / paths.MODEL


def accuracy(network: Network, classes: tuple[str, ...], test: Dataset) -> float:
    """Return the accuracy on `test` in per cent."""
    with torch.inference_mode():
        logits = torch.cat([network(batch) for batch in torch.from_numpy(test.images.pixels.copy()).split(500)])
    right = np.array(classes)[logits.argmax(1).numpy()] == test.labels
    return 100 * float(right.mean())


def params_of(pixels: tuple[int, ...], seed: int, changes: dict[str, Any]) -> Params:
    """Return params.yaml for images of the shape `pixels`, (n, channels, size, size), with `changes` to `train`."""
    params = read_params(ROOT / "params.yaml")
    train = params.train.model_copy(update={"seed": seed, "size": pixels[-1], **changes})
    ingest = params.ingest.model_copy(update={"mode": "rgb" if pixels[1] == 3 else "grey"})
    compute = params.compute.model_copy(update={"accelerator": "cpu"})
    return params.model_copy(update={"ingest": ingest, "train": train, "compute": compute})


def result_of(job: Job) -> tuple[int, float]:
    """Return the steps after the first model (all steps, if there is only one model), and the accuracy."""
    torch.set_num_threads(1)
    data = DATA[job.data]()
    if job.quick:
        data = data._replace(first=data.first // 10, last=data.last // 10)
    params = params_of(data.train.images.pixels.shape, job.seed, job.changes)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if job.peer:
            network, classes, steps = train_peer(job.peer, data, params, job.generations)
        else:
            model, steps = chain(data, params, job)
            network, spec = read_network(model)
            classes = spec.classes
        os.chdir(ROOT)
    return steps, accuracy(network, classes, data.test)


def chain(data: Data, params: Params, job: Job) -> tuple[Path, int]:
    """Train a chain of generations; returns the last model, and the steps of all generations after the first."""
    if job.generations < 0:
        model = train_next(data.until(data.last), params, None)
        return model, read_lineage(model).steps.run
    model, steps = first_model(data, params, job), 0
    for size in data.sizes(job.generations)[1:] if job.generations else []:
        model = train_next(data.until(size), params, model)
        steps += read_lineage(model).steps.run
    return model, steps or read_lineage(model).steps.run


def first_model(data: Data, params: Params, job: Job) -> Path:
    """Return the first model, from the cache if it is there; params for warm starts only do not matter."""
    assert job.kept
    changes = {name: value for name, value in job.changes.items() if name not in WARM}
    known = job.kept / f"{job.data} {job.seed} {changes}".replace("/", "_")
    model = Path("first").absolute()
    if known.exists():
        shutil.copytree(known, model)
        return model
    train_next(data.until(data.first), params, None).rename(model)
    shutil.copytree(model, known, dirs_exist_ok=True)
    return model


def jobs_of(arguments: argparse.Namespace) -> list[Job]:
    """Return the jobs that the command line asks for, seed by seed, the anchors first."""
    common = {key: getattr(arguments, key) for key in ("lr", "precision") if getattr(arguments, key) is not None}
    rows: dict[str, tuple[dict[str, Any], str | None]] = {
        f"passes {passes:g}": ({"passes": passes}, None) for passes in arguments.passes
    }
    for text in arguments.also:
        pairs = (pair.split("=") for pair in text.split(","))
        rows[text] = {key: YAML(typ="safe").load(value) for key, value in pairs}, None
    rows |= {name: ({"lr": SCHEDULE["lr"]}, name) for name in PEERS if arguments.peers}
    jobs = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for data in arguments.data:
            anchors = {} if arguments.no_anchors else ANCHORS
            jobs += [
                Job(data, generations, row, seed, common | changes, quick=arguments.quick)
                for row, (generations, changes) in anchors.items()
            ]
            jobs += [
                Job(data, generations, row, seed, common | changes, peer, quick=arguments.quick)
                for generations in arguments.generations
                for row, (changes, peer) in rows.items()
            ]
    return jobs


def run(jobs: list[Job], table: Path, processes: int) -> None:
    """Run the `jobs` that `table` has no result of, and append their results."""
    done = set() if not table.exists() else set(pd.read_csv(table)[COLUMNS[:4]].itertuples(index=False, name=None))
    jobs = [job for job in jobs if job.key not in done]
    with (
        tempfile.TemporaryDirectory() as kept,
        # A new process for each job, since hundreds of trainings in one process fill the memory.
        ProcessPoolExecutor(processes, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool,
    ):
        waiting = {pool.submit(result_of, job._replace(kept=Path(kept))): job for job in jobs}
        for future in tqdm(as_completed(waiting), "training", len(waiting), disable=None):
            line = pd.DataFrame([(*waiting[future].key, *future.result())], columns=COLUMNS)
            line.to_csv(table, mode="a", header=not table.exists(), index=False)


def show(results: pd.DataFrame) -> None:
    """Print the study as a Markdown table."""
    for (data, generations, row), seeds in results.groupby(["data", "generations", "row"], sort=False):
        ones = seeds.set_index("seed")["accuracy"]
        anchors = results[(results["data"] == data) & (results["generations"] == 0)].set_index(["row", "seed"])
        against = " | ".join(_gap(ones, anchors["accuracy"].get(anchor)) for anchor in (SCHEDULED, SCRATCH))
        steps = seeds["steps"].iloc[0]
        share = steps / anchors["steps"][SCRATCH].iloc[0] if (SCRATCH in anchors.index) else float("nan")
        name = f"{data}: {generations} generations, {row}" if generations else f"{data}: {row}"
        spread = f"{ones.mean():.2f} % ({ones.min():.2f}-{ones.max():.2f})"
        print(f"| {name} | {steps:,} | {share:.0%} | {len(ones)} | {spread} | {against} |", flush=True)


def _gap(ones: "pd.Series[float]", others: "pd.Series[float] | None") -> str:
    """Return the difference in accuracy between `ones` and `others`, seed by seed."""
    if others is None or not len(gaps := (ones - others).dropna()):
        return ""
    return f"{mean(gaps):+.2f} ({min(gaps):+.2f} to {max(gaps):+.2f})"


def main() -> None:
    """Run the study, and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=DATA, nargs="+")
    parser.add_argument("--csv", type=Path, required=True, help="where each result is written, and found again")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0, help="settings are chosen on others than are reported")
    parser.add_argument("--generations", type=int, nargs="*", default=[10], help="after the first")
    parser.add_argument("--passes", type=float, nargs="*", default=[11], help="a row each")
    parser.add_argument("--also", action="append", default=[], metavar="KEY=VALUE,…", help="a row more, for a try")
    parser.add_argument("--peers", action="store_true", help=f"rows more: {', '.join(PEERS)}")
    parser.add_argument("--no-anchors", action="store_true", help="only the rows asked for")
    parser.add_argument("--lr", type=float, help="of all rows but those with a schedule")
    parser.add_argument("--precision", default="bf16-mixed", help="faster than 32-true where the processor knows it")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true", help="only check that it runs; the results mean nothing")
    arguments = parser.parse_args()
    run(jobs_of(arguments), arguments.csv.absolute(), arguments.processes)
    show(pd.read_csv(arguments.csv))


if __name__ == "__main__":
    main()
