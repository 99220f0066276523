"""The images of a step in accumulated parts, which together equal the whole step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from training.feeding.test_loader import cold

from pipeline.images.dataset import Dataset
from pipeline.images.pixel_source import PixelSource
from pipeline.models.layers import freeze_layers
from pipeline.models.network import Spec, build
from pipeline.params import read_params
from pipeline.training.feeding import loader
from pipeline.training.feeding.batches import Batch, in_parts
from pipeline.training.feeding.loader import TrainLoader

if TYPE_CHECKING:
    from pipeline.training.module import Classifier

# Importing Lightning takes seconds: tests import it when they run, and share a worker process.
pytestmark = [
    pytest.mark.xdist_group("lightning"),
    pytest.mark.filterwarnings(r"ignore:::lightning\..*"),
]
CLASSES = ["cat", "dog", "emu"]
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "balance": {"balance": 1.0},
    "mixed": {"augment": "strong", "balance": 1.0, "label_smoothing": 0.1},
}


@given(st.integers(0, 40), st.integers(1, 12))
def test_parts(count: int, parts: int) -> None:
    """Parts have all images in order; none has one image unless it is the only one; only the first may be empty."""
    whole = Batch(torch.arange(count), torch.arange(count), torch.ones(()), weights=torch.arange(count).float())
    found = in_parts(whole, parts)
    assert len(found) == parts
    assert torch.cat([part.images for part in found]).tolist() == [*range(count)]
    assert all(torch.equal(part.images, part.targets) for part in found)
    assert all(part.weights is not None and torch.equal(part.images, part.weights.long()) for part in found)
    sizes = [len(part.images) for part in found]
    assert sizes == sorted(sizes, key=bool)
    full = [size for size in sizes if size]
    assert count < 2 or min(full) > 1
    assert not full or max(full) - min(full) <= 1
    assert bool(full) == (count > 0)


def data(count: int, *, weighted: bool) -> Dataset:
    """Return images of noise with a frequent class."""
    random = np.random.default_rng(0)
    return Dataset(
        ids=np.array([f"{number:032x}" for number in range(count)]),
        labels=np.array([CLASSES[max(0, number % 8 - 5)] for number in range(count)]),
        images=PixelSource.of(random.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)),
        weights=random.uniform(0.5, 2, count).astype(np.float32) if weighted else None,
    )


def classifier(params: Any, images: torch.Tensor) -> Classifier:
    """Return a classifier with frozen normalisation, so that images do not affect each other."""
    from pipeline.training.module import Classifier
    from pipeline.training.optimizers import Schedule

    spec = Spec(model="small", size=8, mode="grey", classes=tuple(CLASSES))
    torch.manual_seed(0)
    network = build(spec)
    freeze_layers(network, "backbone")
    return Classifier(network, spec, params, Schedule(1, 0.1, 0), images)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("parts", [2, 3, 20])
def test_parts_come_to_the_loss_of_the_step(way: str, parts: int, weighted: bool) -> None:  # noqa: FBT001
    """The means of the parts' losses and gradients equal those of the step, for any weights and content."""
    params = read_params(ROOT / "params.yaml").train.model_copy(update={"batch_size": 16, "size": 8, **WAYS[way]})
    images = data(37, weighted=weighted)
    found = []
    for number in (1, parts):
        here = params.model_copy(update={"accumulate": number})
        batches = TrainLoader(images, CLASSES, here, cold(images, here))
        model = classifier(here, batches.images_of_classes(3))
        losses = torch.stack([model.training_step(batch, 0) for batch in batches]).reshape(-1, number).mean(1)
        torch.autograd.backward(losses.sum())
        assert len(losses) == 3
        head = model.network.get_parameter("body.8.weight")
        assert head.grad is not None
        found.append((losses.detach(), head.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@settings(max_examples=20)
@given(st.integers(2, 40), st.integers(1, 4), st.integers(1, 3))
def test_shares_over_devices(count: int, parts: int, devices: int) -> None:
    """The mean loss over devices and parts equals that of one device, even if rare classes weigh more."""
    params = read_params(ROOT / "params.yaml").train.model_copy(
        update={"batch_size": 12, "size": 8, "balance": 1.0, "augment": "none"}
    )
    images = data(count, weighted=False)
    losses = []
    for number, among in ((1, 1), (parts, devices)):
        here = params.model_copy(update={"accumulate": number})
        batches = TrainLoader(images, CLASSES, here, cold(images, here))
        model = classifier(here, batches.images_of_classes(3))
        with torch.inference_mode():
            each = [[model.training_step(batch, 0) for batch in of] for of in of_devices(batches, among)]
        losses.append(torch.tensor(each).reshape(among, -1, number).mean((0, 2)))
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-6)


def of_devices(batches: Iterable[Batch], devices: int) -> list[list[Batch]]:
    """Return the batches of each device, after exchanging the sums of their counts."""
    counted: list[list[torch.Tensor]] = []
    found: list[list[Batch]] = []
    for total in (None, counted):
        for rank in range(devices):
            sums = iter([] if total is None else [sum(of_step) for of_step in zip(*total, strict=True)])
            own: list[torch.Tensor] = []

            def over_devices(value: torch.Tensor, sums: Any = sums, own: list[torch.Tensor] = own) -> torch.Tensor:
                own.append(value.clone())
                return torch.as_tensor(next(sums, value))

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(loader, "_rank", lambda rank=rank: (rank, devices))
                patch.setattr(loader, "_over_devices", over_devices)
                found.append(list(batches))
            if total is None:
                counted.append(own)
    return found[devices:]
