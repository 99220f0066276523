"""Speed and reproducibility of training on a GPU, in ten minutes: `python benchmarks/gpu.py [NAME…]`.

Names:
- speed: the loader alone, the training step alone, and training;
- ways: number format, compiler, memory layout of filters, determinism;
- folding: inference with folded batch normalisation;
- same: whether two trainings, and an interrupted one, give the same bytes;
- timm: what timm's train script does: its loader with worker processes and prefetching, its optimizer, channels last,
  AMP and nondeterministic algorithms. The script itself is not in its package.

Rows are images a second: the median of rounds in turn, with the smallest and the largest. Without a GPU it runs on the
CPU.
"""

import os
import platform
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from reporting import Benchmark, Row, Rows, Scale, main, spread
from scratch import ROOT, photographs
from torch import Tensor, nn

from pipeline import paths
from pipeline.evaluation.inference import fold
from pipeline.images.dataset import Dataset
from pipeline.images.pixel_source import PixelSource
from pipeline.lineage.base import FIRST, NONE
from pipeline.models.compiling import compile_network
from pipeline.models.device import device, use_fast_layout
from pipeline.models.network import Spec, build
from pipeline.models.precision import precision_on
from pipeline.params import Params, read_params
from pipeline.train import fit
from pipeline.training.feeding.loader import Batch, TrainLoader
from pipeline.training.feeding.sources import AugmentedImages
from pipeline.training.generation import plan
from pipeline.training.module import Classifier
from pipeline.training.optimizers import Schedule
from pipeline.training.progress import Progress

# timm is installed separately, since torchvision slows down every import of lightning.
sys.path.append(str(ROOT / ".venv/timm"))
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # PyTorch requires this for determinism.
CLASSES = 10
WARM_UP = 3
Step = Callable[[], object]


class Size(NamedTuple):
    """The size of a benchmark."""

    model: str
    pixels: int
    batch: int
    steps: int
    """Steps in a round."""
    rounds: int


def size_of(scale: Scale) -> Size:
    """Return a size for a GPU, or, with `--quick`, one that a CPU can run."""
    return Size("timm/test_resnet", 32, 8, 2, 1) if scale.quick else Size("timm/resnet50", 224, 256, 20, 3)


def params_of(size: Size, **train: Any) -> Params:
    """Return params.yaml with AdamW's schedule, crops and mirroring, and with `train` as changes to that section."""
    content = read_params(ROOT / "params.yaml").model_dump()
    content["ingest"]["mode"] = "rgb"
    content["compute"].update({"accelerator": "auto", "devices": 1, "nodes": 1})
    own = {"model": size.model, "size": size.pixels, "batch_size": size.batch, "optimizer": "adamw", "lr": 1e-3}
    augment = {"crop": [0.5, 1.0], "flip": True}
    content["train"].update({**own, "augment": augment, "epochs": 1, "save_every": 1e9, **train})
    return Params.model_validate(content)


def made_up(count: int, size: Size) -> Dataset:
    """Return `count` images of noise, already decoded."""
    chance = np.random.default_rng(0)
    ids = np.array(sorted(chance.bytes(16).hex() for _ in range(count)))
    labels = np.array([f"class {number % CLASSES}" for number in range(count)])
    pixels = chance.integers(0, 256, (count, 3, size.pixels, size.pixels), dtype=np.uint8)
    return Dataset(ids=ids, labels=labels, images=PixelSource.of(pixels))


def loader_of(data: Dataset, params: Params, where: torch.device) -> TrainLoader:
    """Return the loader of a cold start in the working directory."""
    generation = plan(params, pd.Series(data.labels, index=data.ids, dtype=str))
    source = AugmentedImages(data, params.train, where)
    return TrainLoader(data, list(generation.spec.classes), params.train, generation.rounds, source)


def training(params: Params, where: torch.device, batches: Iterable[Batch], *, last: bool = True) -> Step:
    """Return a training step on `batches`, as Lightning runs it; `last`: filters in channels-last layout on a GPU."""
    names = tuple(f"class {number}" for number in range(CLASSES))
    spec = Spec(model=params.train.model, size=params.train.size, mode="rgb", classes=names)
    torch.use_deterministic_algorithms(params.train.deterministic)
    network = build(spec).to(where)
    if last:
        use_fast_layout(network, where)
    if params.train.compile:
        compile_network(network, deterministic=params.train.deterministic)
    classifier = Classifier(network, spec, params.train, Schedule(10**6, params.train.lr, 0), torch.ones(CLASSES))
    optimizer = classifier.to(where).configure_optimizers()["optimizer"]
    endless, number = forever(batches), 0

    def step() -> None:
        nonlocal number
        torch.use_deterministic_algorithms(params.train.deterministic)
        number += 1  # Never a step whose loss is logged.
        with autocast(params, where):
            loss = classifier.training_step(next(endless), number % 50 or 1)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def autocast(params: Params, where: torch.device) -> AbstractContextManager[object]:
    """Return the autocast context of `params`' precision."""
    is_half = precision_on(where, params.train.precision) == "bf16-mixed"
    return torch.autocast(where.type, torch.bfloat16) if is_half else nullcontext()


def forever(batches: Iterable[Any]) -> Iterator[Any]:
    """Yield from `batches` again and again."""
    while True:
        yield from batches


def rates(steps: dict[str, Step], size: Size) -> dict[str, list[float]]:
    """Return the images a second of each of `steps`, in rounds in which they take turns."""
    for step in steps.values():
        for _ in range(WARM_UP):
            step()
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(size.rounds):
        for name, step in steps.items():
            wait()
            started = time.perf_counter()
            for _ in range(size.steps):
                step()
            wait()
            found[name].append(size.steps * size.batch / (time.perf_counter() - started))
    return found


def wait() -> None:
    """Wait until the GPU has finished all queued work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def compared(found: dict[str, list[float]], what: str) -> Rows:
    """Yield a row for each entry of `found`, relative to the first one in the same rounds."""
    first = next(iter(found.values()))
    for name, values in found.items():
        ratios = spread((one / other for one, other in zip(values, first, strict=True)), "×")
        yield Row(f"{what}: {name}", f"{ratios}; {spread(values, 'images/s', 0)}")


def begin(folder: Path) -> torch.device:
    """Make `folder` a project without a base, and the working directory; returns the device."""
    os.chdir(folder)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "compiled")  # Not shared with another benchmark.
    shutil.rmtree(paths.DATA, ignore_errors=True)
    paths.BASE.mkdir(parents=True)
    (paths.BASE / NONE).write_text(FIRST + "\n")
    where = device(read_params(ROOT / "params.yaml").compute)
    return torch.device(where.type, 0) if where.type == "cuda" else where


def trained(data: Dataset, params: Params) -> float:
    """Return the seconds that training a model in the working directory takes."""
    nothing = Dataset(ids=data.ids[:0], labels=data.labels[:0], images=PixelSource.of(data.images.pixels[:0]))
    generation = plan(params, pd.Series(data.labels, index=data.ids, dtype=str))
    started = time.perf_counter()
    fit(generation, data, nothing, params, Progress("benchmark"))
    return time.perf_counter() - started


def speed(folder: Path, scale: Scale) -> Rows:
    """Measure loading and training separately, and both together as in `dvc repro`, without startup and end."""
    where, size = begin(folder), size_of(scale)
    params = params_of(size)
    name = torch.cuda.get_device_name() if where.type == "cuda" else platform.processor() or where.type
    told = f"{name}, torch {torch.__version__}, {precision_on(where, params.train.precision)}"
    yield Row(f"{size.model}, {size.pixels} px, batches of {size.batch}", told)
    data = made_up(size.batch * size.steps, size)
    batches = forever(loader_of(data, params, where))
    alone = {"the loader alone": lambda: next(batches), "the step alone": training(params, where, [next(batches)])}
    found = rates(alone, size)
    epochs = 3
    trained(data, params_of(size))
    beyond = [trained(data, params_of(size, epochs=1 + epochs)) - trained(data, params) for _ in range(size.rounds)]
    found["training"] = [epochs * len(data) / seconds for seconds in beyond]
    for name, values in found.items():
        yield Row(name, spread(values, "images/s", 0))
    slower = min(statistics.median(found[name]) for name in alone)
    yield Row("training, against the slower of the two", f"{statistics.median(found['training']) / slower:.2f} ×")


WAYS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "32-true": {"precision": "32-true"},
    "compile": {"compile": True},
    "not deterministic": {"deterministic": False},
    "schedule_free": {"optimizer": "schedule_free"},
}


def ways(folder: Path, scale: Scale) -> Rows:
    """Measure the training step alone in each of `WAYS`."""
    where, size = begin(folder), size_of(scale)
    batch = [next(iter(loader_of(made_up(size.batch, size), params_of(size), where)))]
    steps = {name: training(params_of(size, **changes), where, batch) for name, changes in WAYS.items()}
    steps["filters not channels last"] = training(params_of(size), where, batch, last=False)
    yield from compared(rates(steps, size), "a step")


def folding(folder: Path, scale: Scale) -> Rows:
    """Measure inference of a batch, as in evaluate, with `small`, whose normalisation can be folded completely."""
    where, size = begin(folder), size_of(scale)._replace(model="small", pixels=32)
    names = tuple(f"class {number}" for number in range(CLASSES))
    network = build(Spec(model=size.model, size=size.pixels, mode="rgb", classes=names)).eval()
    folded = deepcopy(network)
    fold(folded)
    images = torch.from_numpy(made_up(size.batch, size).images.pixels).to(where)
    both = {"not folded": network, "folded": folded}
    steps = {name: inferring(one.to(where, memory_format=torch.channels_last), images) for name, one in both.items()}
    yield from compared(rates(steps, size), "inference of `small`, 32 px")


def inferring(network: nn.Module, images: Tensor) -> Step:
    """Return an inference step."""
    return lambda: torch.inference_mode()(network)(images)


def same(folder: Path, scale: Scale) -> Rows:
    """Check whether whole models are the same, file by file."""
    size = size_of(scale)
    data = made_up(size.batch * max(4, size.steps // 2), size)
    for name in ("as it is", "schedule_free", "compile"):
        begin(folder)
        params = params_of(size, **WAYS[name])
        trained(data, params)
        once = files()
        trained(data, params)
        yield Row(f"the same bytes twice: {name}", yes(files() == once))
        interrupted(data, params)
        yield Row(f"the same bytes when continued: {name}", yes(files() == once))


def files() -> dict[str, bytes]:
    """Return the content of the model's files, and delete the model."""
    found = {path.name: path.read_bytes() for path in paths.MODEL.iterdir()}
    shutil.rmtree(paths.MODEL)
    return found


def yes(is_so: bool) -> str:  # noqa: FBT001
    """Return `yes` or `NO`."""
    return "yes" if is_so else "NO"


def interrupted(data: Dataset, params: Params) -> None:
    """Train with an interruption in the third step, and resume."""
    step, done = Classifier.training_step, 0

    def stopping(self: Classifier, batch: Batch, batch_idx: int) -> Tensor:
        nonlocal done
        done += 1
        if done == 3:
            signal.raise_signal(signal.SIGTERM)
        return step(self, batch, batch_idx)

    with patch.object(Classifier, "training_step", stopping):
        try:
            trained(data, params)
        except SystemExit:
            trained(data, params)
            return
    raise AssertionError("nothing was interrupted")


def timm(folder: Path, scale: Scale) -> Rows:
    """Compare with timm: the same network, images, crops, optimizer and number format, but each side's own decoding."""
    where, size = begin(folder), size_of(scale)
    photographs(folder / "photographs", size.batch * 4)
    torch.use_deterministic_algorithms(mode=False)
    batches = forever(timm_loader(folder / "photographs", size, where))
    steps = {"timm": timm_step(size, where, batches)}
    params = params_of(size, deterministic=False)
    data = made_up(size.batch * 4, size)
    for name, one in (("ours", params), ("ours, deterministic", params_of(size))):
        steps[name] = training(one, where, loader_of(data, one, where))
    steps["timm, the step alone"] = timm_step(size, where, forever([next(batches)]))
    yield from compared(rates(steps, size), "training from 500 × 375 JPEGs, which ours has decoded before")


def timm_loader(folder: Path, size: Size, where: torch.device) -> Iterable[tuple[Tensor, Tensor]]:
    """Return timm's loader, whose images are on the device and normalised there."""
    from timm.data import create_dataset, create_loader

    found: Iterable[tuple[Tensor, Tensor]] = create_loader(
        create_dataset("", str(folder), is_training=True),
        input_size=(3, size.pixels, size.pixels),
        batch_size=size.batch,
        is_training=True,
        scale=(0.5, 1.0),
        color_jitter=0.0,
        num_workers=min(16, os.cpu_count() or 1),
        pin_memory=where.type == "cuda",
        device=where,
    )
    return found


def timm_step(size: Size, where: torch.device, batches: Iterator[tuple[Tensor, Tensor]]) -> Step:
    """Return a step of timm's train script, with --channels-last and --amp."""
    from timm import create_model
    from timm.optim import create_optimizer_v2

    params = params_of(size)
    model = create_model(size.model.removeprefix("timm/"), num_classes=CLASSES)
    model.to(where, memory_format=torch.channels_last).train()
    optimizer = create_optimizer_v2(model, opt="adamw", lr=params.train.lr, weight_decay=params.train.weight_decay)
    loss_of = nn.CrossEntropyLoss(label_smoothing=params.train.label_smoothing)

    def step() -> None:
        torch.use_deterministic_algorithms(mode=False)
        images, targets = next(batches)
        with autocast(params, where):
            loss = loss_of(model(images.contiguous(memory_format=torch.channels_last)), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


BENCHMARKS: dict[str, Benchmark] = {"speed": speed, "ways": ways, "folding": folding, "same": same, "timm": timm}

if __name__ == "__main__":
    main(__doc__, BENCHMARKS)
