"""Batches are moved to the device unchanged, and the CPU never waits for a GPU."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from conftest import ROOT
from training.feeding.test_loader import cold, dataset

from pipeline.params import read_params
from pipeline.train_params import Train
from pipeline.training.augmentation.presets import PRESETS
from pipeline.training.feeding.batches import Batch, Other
from pipeline.training.feeding.loader import EvalLoader, TrainLoader
from pipeline.training.feeding.prefetching import prefetch
from pipeline.training.feeding.sources import AugmentedImages, PlainImages

CPU, NOWHERE = torch.device("cpu"), torch.device("meta")
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def batches(count: int) -> Iterator[Batch]:
    """Return batches with all optional parts."""
    for number in range(count):
        other = Other(torch.tensor([1, 0]), torch.tensor([0.25, 0.5]))
        yield Batch(
            torch.full((2, 1, 4, 4), number, dtype=torch.uint8), torch.tensor([number, 1]), torch.ones(()), other
        )


def test_nothing_changes_on_the_cpu() -> None:
    """On the CPU the tensors are passed on in order, each made when requested."""
    made: list[Batch] = []

    def making() -> Iterator[Batch]:
        for batch in batches(3):
            made.append(batch)
            yield batch

    for number, batch in enumerate(prefetch(making(), CPU), 1):
        assert len(made) == number
        assert batch.images is made[-1].images
        assert batch.other is not None
        assert batch.other.own is made[-1].other.own  # type: ignore[union-attr]
        assert batch.weights is None


def test_all_of_a_batch_is_moved() -> None:
    """Nested parts are moved, too; single tensors are batches as well."""
    (batch,) = prefetch(batches(1), NOWHERE)
    assert isinstance(batch, Batch)
    assert isinstance(batch.other, Other)
    assert {part.device.type for part in (*batch[:3], *batch.other[:2])} == {"meta"}
    assert [images.device for images in prefetch([torch.ones(2), torch.ones(1)], NOWHERE)] == [NOWHERE, NOWHERE]


@on_gpu
@pytest.mark.parametrize("name", ["none", "light"])
def test_gpu_gets_the_batches_of_the_cpu(name: str) -> None:
    """Batches moved to a GPU equal those on the CPU, also while the GPU is busy."""
    gpu, data = torch.device("cuda", 0), dataset(64, channels=3)
    classes = list(data.labels)
    train = read_params(ROOT / "params.yaml").train.model_copy(update={"augment": name, "batch_size": 8})
    both = []
    for where in (CPU, gpu):
        loaders = (
            TrainLoader(data, classes, train, cold(data, train), AugmentedImages(data, train, where)),
            EvalLoader(data, classes, batch_size=8, source=PlainImages(data, where)),
        )
        both.append([batch for loader in loaders for batch in loader])
    busy = torch.randn(2048, 2048, device=gpu)
    for one, other in zip(*both, strict=True):
        busy = busy @ busy
        assert {part.device for part in other[:3]} == {gpu}
        assert torch.equal(one.targets, other.targets.cpu())
        assert torch.equal(one.share, other.share.cpu())
        difference = (one.images.int() - other.images.cpu().int()).abs()
        assert difference.float().mean() < (0.02 if PRESETS[name].crop else 1e-9)  # Interpolation rounds differently.


@on_gpu
def test_no_step_waits_for_the_gpu() -> None:
    """From the loader to the gradients nothing waits for the GPU, except the check of the loss."""
    from pipeline.models.network import Spec, build
    from pipeline.training.module import Classifier
    from pipeline.training.optimizers import Schedule

    gpu, data = torch.device("cuda", 0), dataset(64)
    classes = tuple(sorted(data.labels))
    settings = {"augment": {"shift": 0.25, "flip": True}, "batch_size": 8}
    params = Train.model_validate(read_params(ROOT / "params.yaml").train.model_dump() | settings)
    spec = Spec(model="small", size=8, mode="grey", classes=classes)
    classifier = Classifier(build(spec), spec, params, Schedule(8, 0.1, 0), torch.ones(64)).to(gpu)
    optimizer = classifier.configure_optimizers()["optimizer"]
    loader = TrainLoader(data, list(classes), params, cold(data, params), AugmentedImages(data, params, gpu))
    try:
        for number, batch in enumerate(loader):
            loss: Any = classifier.training_step(batch, number)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            torch.cuda.set_sync_debug_mode("error")  # From the second step on; the first one includes setup.
    finally:
        torch.cuda.set_sync_debug_mode("default")
