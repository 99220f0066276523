"""Check what Treering promises for every model, with a few steps of real training on synthetic images."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from pipeline import paths
from pipeline.commands.trial.restless import restless_layer
from pipeline.commands.trial.samples import drawn
from pipeline.errors import ExportError, TreeringError, one_line
from pipeline.files import put_directory
from pipeline.images.dataset import Dataset
from pipeline.models.checkpoint import CHECKPOINT, read_checkpoint, read_network
from pipeline.models.layers import NONE
from pipeline.models.network import Spec, build, rows_of_classes
from pipeline.param_types import is_own
from pipeline.params import Params
from pipeline.training.generation import plan, wanted_spec
from pipeline.training.progress import Progress

# Of the synthetic images: minimum batch size, number of batches, and number of classes before one is added.
BATCH, STEPS, CLASSES = 8, 4, 3
LONGEST = 300
WEIGHTS = "drawn.pt"


class Check(NamedTuple):
    """The result of checking one promise."""

    promise: str
    trouble: str = ""
    """Why the promise does not hold, or could not be checked; empty if it holds."""
    is_skipped: bool = False
    """Whether the promise could not be checked, for the reason in `trouble`."""


class _InterruptedError(Exception):
    """Interrupts a training on purpose."""


class _Ending(Progress):
    """Interrupts the training after it has saved its state `left` times."""

    left = 2

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        super().save(step, write)
        self.left -= 1
        if not self.left:
            raise _InterruptedError


def checks(params: Params) -> Iterator[Check]:
    """Check each promise in the working directory, and write to its data/. Stop early if no network can be built."""
    train = params.train.model_copy(
        update={"epochs": 1, "warm_epochs": 1, "batch_size": max(BATCH, 4 * params.train.accumulate)}
        | {"passes": 1.0, "min_steps": 2, "head_epochs": min(params.train.head_epochs, 0.5)}
        | {"pretrained": False if params.train.freeze == NONE else _drawn_weights(params), "compile": False}
        | {"loggers": []}
    )
    compute = params.compute.model_copy(update={"devices": 1, "nodes": 1, "strategy": "auto"})
    tiny = params.model_copy(update={"train": train, "compute": compute})
    for promise, check in PROMISES.items():
        try:
            yield Check(promise, check(tiny))
        except (TreeringError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError, OSError) as error:
            kind = "" if isinstance(error, TreeringError) else f"{type(error).__name__}: "
            is_skipped = isinstance(error, ExportError) and "not installed" in str(error)
            yield Check(promise, f"{kind}{one_line(error)[:LONGEST]}", is_skipped)
            if promise == FIRST:
                return


def _fits(params: Params) -> str:
    """Check the rows of classes, and that the outputs are logits: the loss learns little from probabilities."""
    if not is_own(params.train.model):
        return ""
    if not rows_of_classes(_spec(params)):
        return "no weight has a row for each class"
    images = next(iter(drawn(params, 4, classes=2).images.batches([_all(4)])))
    with torch.no_grad():
        outputs = build(_spec(params)).eval()(torch.from_numpy(images))
    is_softmax = bool((outputs >= 0).all()) and torch.allclose(outputs.sum(1), torch.ones(4), atol=1e-3)
    return "it gives probabilities: leave out the softmax, which the loss does itself" if is_softmax else ""


def _is_function(params: Params) -> str:
    images = next(iter(drawn(params, 4, classes=2).images.batches([_all(4)])))
    layer = restless_layer(build(_spec(params)), torch.from_numpy(images))
    return f"{layer} gives the same images other outputs" if layer else ""


def _is_repeatable(params: Params) -> str:
    _train(params, Progress("once"))
    paths.MODEL.replace("once")
    _train(params, Progress("twice"))
    return _difference(Path("once"), paths.MODEL)


def _continues(params: Params) -> str:
    often = params.train.model_copy(update={"save_every": 1e-9})
    saving = params.model_copy(update={"train": often})
    with suppress(_InterruptedError):
        _train(saving, _Ending("interrupted"))
        return "the training could not be interrupted"
    _train(saving, Progress("interrupted"))
    return _difference(Path("once"), paths.MODEL)


def _grows(params: Params) -> str:
    paths.MODEL.replace("first")
    put_directory(Path("first"), paths.BASE)
    _train(params, Progress("grown"), classes=CLASSES + 1)
    known, now = (set(read_network(folder)[1].classes) for folder in (paths.BASE, paths.MODEL))
    return "" if len(now) == len(known) + 1 and known < now else f"its classes are {sorted(now)}"


def _exports(params: Params) -> str:
    from pipeline.commands.serve.checking import check_images, network_answers, onnx_answers
    from pipeline.commands.serve.export import WithProbabilities
    from pipeline.commands.serve.onnx_file import check_packages, proto_of

    check_packages()
    network, spec = read_network(paths.MODEL)
    whole, path = WithProbabilities(network).eval(), Path("model.onnx")
    path.write_bytes(proto_of(whole, spec).SerializeToString())
    images = next(iter(drawn(params, BATCH, classes=2).images.batches([_all(BATCH)])))
    check_images(onnx_answers(path), Path("model.onnx"), network_answers(whole), images)
    return ""


FIRST = "builds: a logit for each class, and a row"
PROMISES: dict[str, Callable[[Params], str]] = {
    FIRST: _fits,
    "no hidden randomness, no hidden state": _is_function,
    "trains to the same bytes twice": _is_repeatable,
    "interrupted and continued, the same bytes": _continues,
    "goes on with a class more": _grows,
    "exports to ONNX, and agrees": _exports,
}


def _spec(params: Params) -> Spec:
    return wanted_spec(params, [f"class {number}" for number in range(CLASSES)])


def _drawn_weights(params: Params) -> str:
    """Write a file of random weights and return its name, since layers can be frozen only with pretrained weights."""
    paths.WEIGHTS.mkdir(parents=True, exist_ok=True)
    torch.save(build(_spec(params)).body.state_dict(), paths.WEIGHTS / WEIGHTS)
    return WEIGHTS


def _train(params: Params, progress: Progress, *, classes: int = CLASSES) -> None:
    """Train data/model from data/base on synthetic images."""
    dataset = drawn(params, STEPS * params.train.batch_size, classes=classes)
    generation = plan(params, pd.Series(dataset.labels, index=pd.Index(dataset.ids)))
    import_module("pipeline.train").fit(generation, dataset, _first(dataset, BATCH), params, progress)


def _first(dataset: Dataset, count: int) -> Dataset:
    (pixels,) = dataset.images.batches([_all(count)])
    return Dataset(ids=dataset.ids[:count], labels=dataset.labels[:count], images=dataset.images.of(pixels))


def _all(count: int) -> Any:
    import numpy as np

    return np.arange(count)


def _difference(one: Path, other: Path) -> str:
    """Return which weight of two models differs first; empty if their checkpoints are identical."""
    if (one / CHECKPOINT).read_bytes() == (other / CHECKPOINT).read_bytes():
        return ""
    before, now = (read_checkpoint(folder)["state_dict"] for folder in (one, other))
    for name in before:
        if not torch.equal(before[name], now[name]):
            return f"{name.removeprefix('network.body.')} becomes another"
    return "the optimizer's state becomes another"
