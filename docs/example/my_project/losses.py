"""The loss."""

from torch import Tensor
from torch.nn.functional import cross_entropy


def focal(logits: Tensor, targets: Tensor) -> Tensor:
    """The focal loss (arXiv 1708.02002) of each image: logits (n, classes) and targets (n,) to (n,)."""
    losses = cross_entropy(logits, targets, reduction="none")
    return (1 - (-losses).exp()) ** 2 * losses
