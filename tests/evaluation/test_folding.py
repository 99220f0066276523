"""Folding batch normalisation into convolutions keeps the outputs, and folds no other layers."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from pipeline.evaluation.inference import fold
from pipeline.models.network import Spec, build


class Activated(nn.BatchNorm2d):
    """Normalises and applies an activation, as timm's `BatchNormAct2d` does."""

    def forward(self, images: Tensor) -> Tensor:
        """Normalise, and apply a ReLU."""
        return super().forward(images).relu()


class Standardized(nn.Conv2d):
    """Standardises its weights first, as timm's `StdConv2d` does."""

    def forward(self, images: Tensor) -> Tensor:
        """Convolve with weights of standard deviation 1."""
        return conv2d(images, self.weight / self.weight.std(), self.bias)


class Backwards(nn.Sequential):
    """Computes in another order than its modules are listed in."""

    def forward(self, images: Tensor) -> Tensor:
        """Apply the modules from the last to the first."""
        for module in reversed(self):
            images = module(images)
        return images


def trained(network: nn.Module) -> nn.Module:
    """Return `network` with weights and statistics as after training."""
    torch.manual_seed(0)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                for value in (*module.parameters(), *module.buffers()):
                    if value.is_floating_point():
                        value.uniform_(0.2, 3)
    return network.eval()


def folded(network: nn.Module) -> nn.Module:
    """Return a folded copy of `network`."""
    other = copy.deepcopy(network)
    fold(other)
    return other


def normalisations(network: nn.Module) -> int:
    """Return the number of normalisations."""
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("mode", ["grey", "rgb"])
def test_small(mode: str) -> None:
    """All normalisations of `small` are folded, and its outputs stay."""
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
    """The outputs of any sequence stay; `left` normalisations do not follow a convolution, and are kept."""
    network = trained(nn.Sequential(*modules))
    images = torch.randn(3, 2, 5, 5)
    with torch.inference_mode():
        torch.testing.assert_close(folded(network)(images), network(images), rtol=1e-5, atol=1e-5)
    assert normalisations(folded(network)) == left
