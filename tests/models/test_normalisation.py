"""Statistics of normalisation are estimated on given images."""

import pytest
import torch
from torch import nn

from pipeline.models.network import Network, Spec, build
from pipeline.models.normalisation import estimate_statistics, normalised


def network() -> Network:
    """Return a small network with its own weights."""
    torch.manual_seed(0)
    return build(Spec(model="small", size=8, mode="grey", classes=("cat", "dog")))


def images(count: int) -> torch.Tensor:
    """Return images of noise."""
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)


def test_worked_by_hand() -> None:
    """Statistics are means over batches of each layer's mean and variance, independent of earlier ones."""
    one = Network(nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.9)), (0.0,), (1 / 255,))
    (layer,) = normalised(one)
    batches = [images(4), images(6)]
    one(images(9))
    estimate_statistics(one, batches)
    seen = [batch.double() for batch in batches]
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.running_mean.item() == pytest.approx(sum(float(batch.mean()) for batch in seen) / 2)
    assert layer.running_var.item() == pytest.approx(sum(float(batch.var()) for batch in seen) / 2)


def test_weights_and_modes_stay() -> None:
    """Only statistics change, and layers keep their modes; a second estimate is equal."""
    here = network()
    normalised(here)[0].eval()
    modes = [(layer.training, getattr(layer, "momentum", None)) for layer in here.modules()]
    weights = {name: value.clone() for name, value in here.named_parameters()}
    estimate_statistics(here, [images(5), images(7)])
    first = {name: value.clone() for name, value in here.state_dict().items()}
    here(images(4))
    estimate_statistics(here, [images(5), images(7)])
    assert all(torch.equal(first[name], value) for name, value in here.state_dict().items())
    assert all(torch.equal(weights[name], value) for name, value in here.named_parameters())
    assert [(layer.training, getattr(layer, "momentum", None)) for layer in here.modules()] == modes


def test_generators_are_left_alone() -> None:
    """Dropout draws no numbers."""
    one = Network(nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5)), (0.5,), (0.25,))
    before = torch.get_rng_state()
    estimate_statistics(one, [images(4)])
    assert torch.equal(before, torch.get_rng_state())


def test_layers_that_keep_none() -> None:
    """Layers without statistics are left alone."""
    layers = nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False), nn.GroupNorm(1, 1))
    assert normalised(Network(layers, (0.5,), (0.25,))) == []
    assert len(normalised(network())) == 10
