"""Rows of the last layer for new classes, computed from the features of their images before the first training step.

The direction of a row is Fisher's linear discriminant between the other images and those of the class. It accounts for
the covariance of the features: much of their variation is unrelated to the class, above all in a frozen network. The
length and the bias are fitted to the logits of the other classes, whatever their scale. (Qi et al., arXiv 1712.07136,
use the mean feature itself; their features lie around the origin, and their rows have equal lengths.)
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Weight of a scaled identity matrix in the covariance, which few images estimate poorly (0 to 1).
SHRINKAGE = 0.3
# Penalty on the squared length of a row, in units of the features' deviation along it; without the penalty, rows that
# separate their images perfectly would grow without limit.
PENALTY = 1e-3
STEPS = 200
# Smallest assumed variance of features, as a share of their mean square.
LEAST = 1e-6


def imprint(head: nn.Linear, known: Tensor, new: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return weight (new classes, features) and bias (new classes,) for `head`, with a row for each new class.

    `known` are features of images of the classes that `head` already has rows for, `new` those of each new class; the
    shape of each is (images, features). All classes have equal weight, regardless of their number of images.
    """
    with torch.inference_mode(mode=False), torch.no_grad():
        given = {name: value.double().cpu() for name, value in head.named_parameters()}
        groups = [features.clone().double().cpu() for features in (known, *new)]
        sizes = [len(group) for group in groups]
        center = groups[0].mean(0) if "bias" in given else torch.zeros_like(groups[0][0])
        features, directions = torch.cat(groups), _discriminants(groups)
        logits, along = features @ given["weight"].T + given.get("bias", 0.0), (features - center) @ directions.T
        shares = [head.out_features / sizes[0], *(1 / size for size in sizes[1:])]
        share = torch.tensor(shares, dtype=torch.double).repeat_interleave(torch.tensor(sizes))
        lengths, biases = _fitted(logits, along, sizes, share, has_bias="bias" in given)
        rows = lengths[:, None] * directions
        made = {"weight": rows, "bias": biases - rows @ center}
        return {name: made[name].to(value) for name, value in head.named_parameters()}


def _discriminants(groups: list[Tensor]) -> Tensor:
    """Return Fisher's discriminant between the first group of features and each other one: (groups - 1, features).

    The standard deviation along each direction is 1. The direction is 0 if the means of both groups are equal.
    """
    means = torch.stack([group.mean(0) for group in groups])
    features = torch.cat(groups)
    centered = torch.cat([group - mean for group, mean in zip(groups, means, strict=True)])
    covariance = centered.T @ centered / len(centered)
    # Constant features have a covariance of 0.
    scale = covariance.diagonal().mean().clamp(min=LEAST * float(features.square().mean()) or 1.0)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * scale * torch.eye(len(covariance), dtype=covariance.dtype)
    directions: Tensor = torch.linalg.solve(shrunk, (means[1:] - means[0]).T).T
    deviations = ((directions @ shrunk) * directions).sum(1, keepdim=True).sqrt()
    return torch.where(deviations > 0, directions / deviations, 0.0)


def _fitted(
    logits: Tensor, along: Tensor, sizes: Sequence[int], share: Tensor, *, has_bias: bool
) -> tuple[Tensor, Tensor]:
    """Fit the lengths of the rows and their biases by least cross-entropy; the shape of each is (new classes,).

    A bias is the logit of an image whose coordinate in `along` is 0. `logits` are those of the known classes for all
    images. The images come in groups of these `sizes`, and each image is weighted by its `share`. For an image of the
    first group every known class counts as right, since the decision between known classes must not change.
    """
    others, classes = logits.logsumexp(1), along.shape[1]
    own = torch.repeat_interleave(torch.arange(classes), torch.tensor(sizes[1:]))
    lengths = torch.zeros(classes, dtype=torch.double, requires_grad=True)
    biases = torch.full((classes,), float(logits.mean()) if has_bias else 0.0, dtype=torch.double)
    biases.requires_grad_(has_bias)
    fitting = torch.optim.LBFGS(
        [lengths, biases] if has_bias else [lengths], max_iter=STEPS, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        fitting.zero_grad()
        mine = lengths * along + biases
        right = torch.cat([others[: sizes[0]], mine[sizes[0] :].gather(1, own[:, None])[:, 0]])
        wrong = torch.cat([others[:, None], mine], 1).logsumexp(1) - right
        value = (wrong * share).sum() / share.sum() + PENALTY * lengths.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        fitting.step(loss)  # type: ignore[no-untyped-call]
    return lengths.detach(), biases.detach()
