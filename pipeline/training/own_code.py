"""Loss and optimizer of the project's own code, which `train.loss` and `train.optimizer` name."""

from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from pipeline.errors import ParamError
from pipeline.models.imported import call

# The key of a checkpoint for the kind of its optimizer, if that is the project's own.
KIND = "optimizer"
LOSS = "def {}(logits: Tensor, targets: Tensor) -> Tensor"
OPTIMIZER = "def {}(groups: list[dict[str, Any]], *, lr: float, weight_decay: float) -> torch.optim.Optimizer"


def losses_of(name: str, logits: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each image, shape (n,), by the function `name` of `logits` (n, classes) and `targets` (n,).

    Raises:
        ParamError: the function fails, or returns something else.
    """
    losses = call(name, LOSS, logits, targets)
    if not isinstance(losses, Tensor) or losses.shape != targets.shape:
        found = tuple(losses.shape) if isinstance(losses, Tensor) else f"something of type {type(losses).__name__}"
        what = f"for {len(targets)} images it returns {found}, and not the shape ({len(targets)},)"
        raise ParamError(name, what, "return the loss of each image, not their mean: `reduction='none'`")
    return losses


def own_optimizer(name: str, groups: list[dict[str, Any]], *, lr: float, weight_decay: float) -> Optimizer:
    """Create the optimizer by the function `name` for `groups` of named parameters, each with its `weight_decay`.

    Raises:
        ParamError: the function fails, returns something else, or leaves parameters out.
    """
    wanted = sorted(pair[0] for group in groups for pair in group["params"])
    optimizer = call(name, OPTIMIZER, groups, lr=lr, weight_decay=weight_decay)
    if not isinstance(optimizer, Optimizer):
        raise ParamError(name, f"it returns something of type {type(optimizer).__name__}", "return a torch Optimizer")
    if sorted(name for group in optimizer.param_groups for name in group.get("param_names", [])) != wanted:
        what = "the optimizer does not have all parameters of the network under their names"
        raise ParamError(name, what, "give it `groups`, whose `params` are pairs of name and parameter, as they are")
    return optimizer


def kind_of(name: str, optimizer: Optimizer) -> str:
    """Return a name for the kind of `optimizer`, created by the function `name`; states fit only the same kind."""
    return f"{name} {type(optimizer).__qualname__}"
