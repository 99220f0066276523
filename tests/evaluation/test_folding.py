"""Batch normalisation folded into convolutions: the same outputs, and nothing folded that is something else."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from pipeline.evaluation.inference import fold
from pipeline.models.network import Spec, build


class Activated(nn.BatchNorm2d):
    """Normalises, and does more, as timm's `BatchNormAct2d` does."""

    def forward(self, images: Tensor) -> Tensor:
        """And cuts off below zero."""
        return super().forward(images).relu()


class Standardized(nn.Conv2d):
    """Changes its weights first, as timm's `StdConv2d` does."""

    def forward(self, images: Tensor) -> Tensor:
        """Of weights whose deviation is 1."""
        return conv2d(images, self.weight / self.weight.std(), self.bias)


class Backwards(nn.Sequential):
    """Computes in another order than it lists."""

    def forward(self, images: Tensor) -> Tensor:
        """The last module's first."""
        for module in reversed(self):
            images = module(images)
        return images


def trained(network: nn.Module) -> nn.Module:
    """`network` as if it had been trained: weights and statistics that are not those it began with."""
    torch.manual_seed(0)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                for value in (*module.parameters(), *module.buffers()):
                    if value.is_floating_point():
                        value.uniform_(0.2, 3)
    return network.eval()


def folded(network: nn.Module) -> nn.Module:
    """A copy of `network`, folded."""
    other = copy.deepcopy(network)
    fold(other)
    return other


def normalisations(network: nn.Module) -> int:
    """How many there are."""
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("mode", ["grey", "rgb"])
def test_small(mode: str) -> None:
    """All of its normalisations are folded, and its answers stay."""
    network = trained(build(Spec(model="small", size=16, mode=mode, classes=("a", "b", "c"))))
    images = torch.randint(0, 256, (20, 1 if mode == "grey" else 3, 16, 16), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(folded(network)(images), network(images), rtol=1e-5, atol=1e-5)
    assert normalisations(network) == 10
    assert normalisations(folded(network)) == 0


SHARED = nn.Conv2d(2, 2, 1)


@pytest.mark.parametrize(
    ("modules", "left"),
    [
        ([nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.BatchNorm2d(2)], 1),
        ([nn.Conv2d(2, 4, 3, bias=False, groups=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 1)], 0),
        ([SHARED, SHARED, nn.BatchNorm2d(2), SHARED], 0),
        ([nn.Conv2d(2, 2, 1), nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))], 1),
        ([nn.Conv2d(2, 2, 1), nn.ReLU(), nn.BatchNorm2d(2)], 1),
        ([nn.Conv2d(2, 2, 1), Activated(2)], 1),
        ([Standardized(2, 2, 1), nn.BatchNorm2d(2)], 1),
        ([nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, track_running_stats=False)], 1),
        ([nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, affine=False)], 0),
        ([Backwards(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))], 1),
    ],
)
def test_any_sequence(modules: list[nn.Module], left: int) -> None:
    """Whatever follows what, the outputs stay; `left` normalisations are no part of a convolution."""
    network = trained(nn.Sequential(*modules))
    images = torch.randn(3, 2, 5, 5)
    with torch.inference_mode():
        torch.testing.assert_close(folded(network)(images), network(images), rtol=1e-5, atol=1e-5)
    assert normalisations(folded(network)) == left
