"""The overhead of evaluate beyond inference, against a bare loop in the same run: `benchmarks/evaluate.py [NAME…]`.

Names:
- small (28 × 28), large (112 × 112): 10,000 test images of 100,000, already decoded, with a model and a base;
- alone: small images, without a base.

The bare loop runs the same networks on the same decoded images, as an array, in the same batches, in its own process:
once written plainly, and once with the optimizations of the stage, which are folded networks and large pages. The stage
reads model, index and images, checks each image, computes metrics, and writes its report. Neither time includes
Python's startup.
"""

import csv
import hashlib
import os
import time
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from reporting import Benchmark, Row, Rows, Scale, main, spread
from scratch import ROOT

from pipeline import parquet, paths
from pipeline.evaluate import evaluate
from pipeline.evaluation.inference import fold
from pipeline.images import index
from pipeline.images.shards import ShardWriter
from pipeline.lineage.base import FIRST, NONE
from pipeline.lineage.lineage import Budget, Epochs, ImageCounts, Lineage, write_lineage
from pipeline.models.checkpoint import CHECKPOINT, SPEC, read_network
from pipeline.models.network import Spec, build
from pipeline.params import Params, read_params
from pipeline.splits.review import REVIEW
from pipeline.splits.slices import SLICES

CLASSES = tuple(f"class {number}" for number in range(10))
# The decoded images, shape (images, 1, size, size).
IMAGES = "images.npy"
LARGE_PAGES = "THP_MEM_ALLOC_ENABLE"
# The bare loops, and whether each has the optimizations of the stage.
LOOPS = {"a bare inference loop": False, "that loop with folded networks and large pages": True}


def make_images(count: int, size: int) -> None:
    """Fill data/images and data/manifest with images of smooth noise, and save the decoded images to `IMAGES`."""
    chance, rows, pixels = np.random.default_rng(0), {}, {}
    paths.SHARDS.mkdir(parents=True)
    with ShardWriter(paths.SHARDS, first=0, limit=2**26) as writer:
        for number in range(count):
            coarse = Image.fromarray(chance.integers(0, 256, (7, 7), dtype=np.uint8))
            image, file = coarse.resize((size, size), Image.Resampling.BICUBIC), BytesIO()
            image.save(file, "PNG")
            md5 = hashlib.md5(file.getvalue()).hexdigest()
            shard, offset = writer.append(f"{md5}.png", file.getvalue())
            where = {"shard": shard, "offset": offset, "length": len(file.getvalue()), "width": size, "height": size}
            said = {"id": md5, "label": CLASSES[number % 10], "source": f"{md5}.png", "attributes": "", "md5": md5}
            rows[md5] = {**said, **where, "key": md5[:16], "descriptor": bytes(64)}
            pixels[md5] = np.asarray(image)
    # The other images are only in the index, since nothing reads them.
    others = [
        {**said, **where, "key": "", "descriptor": bytes(64), "id": f"{k:032}", "md5": f"{k:032}"}
        for k in range(9 * count)
    ]
    parquet.write_table(pa.Table.from_pylist([*rows.values(), *others], index.SCHEMA), index.INDEX)
    ids = sorted(rows)
    write_csv("test.csv", [("id", "label", "md5"), *((one, rows[one]["label"], one) for one in ids)])
    header = ("id", "label", "md5", "split", "source", "like_id", "like_label", "like_source")
    write_csv(REVIEW, [header, *((one, rows[one]["label"], one, "test", f"{one}.png", "", "", "") for one in ids)])
    write_csv(SLICES, [("id", "generation"), *((one, "12"[number % 2]) for number, one in enumerate(ids))])
    np.save(IMAGES, np.stack([pixels[one] for one in ids])[:, None])


def write_csv(name: str, rows: list[tuple[str, ...]]) -> None:
    """Write a file of data/manifest."""
    paths.MANIFEST.mkdir(parents=True, exist_ok=True)
    with (paths.MANIFEST / name).open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def make_model(folder: Path, size: int, generation: int) -> None:
    """Write an untrained model to `folder`."""
    spec = Spec(model="small", size=size, mode="grey", classes=CLASSES)
    folder.mkdir(parents=True)
    state = {f"network.{name}": value for name, value in build(spec).state_dict().items()}
    torch.save({SPEC: spec.as_kept(), "state_dict": state}, folder / CHECKPOINT)
    counts, budget = ImageCounts(total=0, new=0, removed=0, relabelled=0), Budget(run=0, total=0)
    facts = {
        "start": "warm",
        "reason": "",
        "base": None,
        "images": counts,
        "epochs": Epochs(run=0, total=0),
        "steps": budget,
    }
    write_lineage(Lineage.model_validate({"generation": generation, **facts}), folder)


def bare(params: Params, folders: list[Path], *, tuned: bool) -> float:
    """Return the seconds of inference by the models in `folders` on the images in the working directory."""
    images = torch.from_numpy(np.load(IMAGES))
    networks = [read_network(folder)[0] for folder in folders]
    if tuned:
        for network in networks:
            fold(network)
    started = time.perf_counter()
    with torch.inference_mode():
        for network in networks:
            for chosen in images.split(params.compute.batch_size):
                network(chosen).softmax(1)
    return time.perf_counter() - started


def stage(params: Params) -> float:
    """Return the seconds that the stage takes."""
    started = time.perf_counter()
    evaluate(params)
    return time.perf_counter() - started


def another(*, tuned: bool) -> Executor:
    """Start a process in the working directory; PyTorch uses large pages in it if `tuned`, by default it does not."""
    pool, before = ProcessPoolExecutor(1, get_context("spawn")), os.environ[LARGE_PAGES]
    os.environ[LARGE_PAGES] = str(int(tuned))
    pool.submit(os.getpid).result()
    os.environ[LARGE_PAGES] = before
    return pool


def at_size(folder: Path, scale: Scale, size: int, *, base: bool = True, rounds: int = 7) -> Rows:
    """Measure the throughput of the stage relative to that of the bare loops."""
    os.chdir(folder)
    params = read_params(ROOT / "params.yaml")
    params = params.model_copy(update={"compute": params.compute.model_copy(update={"accelerator": "cpu"})})
    count = scale.count(10_000)
    make_images(count, size)
    make_model(paths.MODEL, size, 2)
    if base:
        make_model(paths.BASE, size, 1)
    else:
        paths.BASE.mkdir()
        (paths.BASE / NONE).write_text(f"{FIRST}\n")
    models = [paths.MODEL, paths.BASE] if base else [paths.MODEL]
    stage(params)  # Decodes the images, and warms up.
    ratios: dict[str, list[float]] = {name: [] for name in LOOPS}
    rates = []
    with ExitStack() as pools:
        processes = {name: pools.enter_context(another(tuned=tuned)) for name, tuned in LOOPS.items()}

        def loop(name: str) -> float:
            return processes[name].submit(bare, params, models, tuned=LOOPS[name]).result()

        for _ in range(scale.rounds(rounds)):
            before, seconds = {name: loop(name) for name in LOOPS}, stage(params)
            for name in LOOPS:
                ratios[name].append((before[name] + loop(name)) / 2 / seconds)
            rates.append(len(models) * count / seconds)
    beside = "with model and base" if base else "without a base"
    yield Row(f"evaluating {count:,} images of {size} × {size} {beside}", spread(rates, "images/s", 0))
    for name, values in ratios.items():
        yield Row(f"the same, against {name}", spread(values, "×"))


def small(folder: Path, scale: Scale) -> Rows:
    """Measure with small images, for which inference is the smallest part of the time."""
    yield from at_size(folder, scale, 28)


def large(folder: Path, scale: Scale) -> Rows:
    """Measure with images of a more common size."""
    yield from at_size(folder, scale, 112, rounds=3)


def alone(folder: Path, scale: Scale) -> Rows:
    """Measure a first generation, which has no base."""
    yield from at_size(folder, scale, 28, base=False)


BENCHMARKS: dict[str, Benchmark] = {"small": small, "large": large, "alone": alone}

if __name__ == "__main__":
    main(__doc__, BENCHMARKS)
