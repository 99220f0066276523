"""Rows of the last layer for classes that are new, from the features of their images: known before the first step.

A row points along Fisher's linear discriminant, from the other images to those of the class, and takes their covariance
into account: much of what features tell has nothing to do with the class, most of all those of a frozen network. Length
and bias are fitted to the logits of the other classes, whatever their scale is. (Qi et al., arXiv 1712.07136, take the
mean feature itself; theirs lie around the origin, and their rows have one length.)
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# How far the covariance of few images is taken for that of features which are alike and independent.
SHRINKAGE = 0.3
# Of the squared length, in units of the other images' deviation: rows that tell their images apart are not without end.
PENALTY = 1e-3
STEPS = 200
# Of their mean square, what features differ by at least.
LEAST = 1e-6


def imprint(head: nn.Linear, known: Tensor, new: Sequence[Tensor]) -> dict[str, Tensor]:
    """Rows of weight and bias of `head`, shape (classes, features) and (classes,), for the classes of the images `new`.

    `known` are features of images of the classes that `head` has rows for, `new` those of each other class; shape
    (images, features) each. All classes count alike.
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
    """The direction from the first group of features to each other one, shape (groups - 1, features).

    The deviation along it is one. To a group that is alike it is 0.
    """
    means = torch.stack([group.mean(0) for group in groups])
    features = torch.cat(groups)
    centered = torch.cat([group - mean for group, mean in zip(groups, means, strict=True)])
    covariance = centered.T @ centered / len(centered)
    # Features that never differ have no covariance.
    scale = covariance.diagonal().mean().clamp(min=LEAST * float(features.square().mean()) or 1.0)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * scale * torch.eye(len(covariance), dtype=covariance.dtype)
    directions: Tensor = torch.linalg.solve(shrunk, (means[1:] - means[0]).T).T
    deviations = ((directions @ shrunk) * directions).sum(1, keepdim=True).sqrt()
    return torch.where(deviations > 0, directions / deviations, 0.0)


def _fitted(
    logits: Tensor, along: Tensor, sizes: Sequence[int], share: Tensor, *, has_bias: bool
) -> tuple[Tensor, Tensor]:
    """The lengths of the rows, and the logits of images at 0 `along` them, of the least cross-entropy; (classes,) each.

    `logits` are those of the other classes, of all images, which come in groups of these `sizes` and count by their
    `share`. An image of the first group is right with any of the other classes: between those nothing is to change.
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
