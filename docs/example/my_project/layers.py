"""Layers of the network."""

from torch import Tensor, nn


class Gated(nn.Module):
    """A convolution at half the size, each channel of which is scaled by what is in the whole image."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, 3, stride=2, padding=1)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(after, after, 1), nn.Sigmoid())

    def forward(self, images: Tensor) -> Tensor:
        """Shape (n, before, side, side) to (n, after, side / 2, side / 2)."""
        seen: Tensor = self.convolution(images).relu()
        share: Tensor = self.gate(seen)
        return seen * share
