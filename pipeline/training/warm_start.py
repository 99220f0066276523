"""A warm start: from the base checkpoint to one that Lightning goes on from, for a generation of its own.

The counters of epochs and steps carry over, and the weights; how, and whether the optimizer's moments do, is a policy.
The learning-rate schedule restarts, so its state and the optimizer's hyperparameters are the new generation's.
"""

from typing import Any

from torch import Tensor

from pipeline import paths
from pipeline.models.checkpoint import Checkpoint, grow, spec_of
from pipeline.models.network import rows_of_classes
from pipeline.params import Train
from pipeline.training.module import Classifier


def warm_start(base: Checkpoint, classifier: Classifier, params: Train) -> Checkpoint:
    """`base` as the start of the generation that `classifier`, still untrained, is set up for.

    Where the classifier knows more classes, the rows of the new ones are taken from it, with moments of zero; those of
    classes that it does not know are left out.
    """
    base, fresh = _without_lost_classes(base, classifier), classifier.state_dict()
    weights = {name: grow(base["state_dict"][name], like) for name, like in fresh.items()}
    optimizer = classifier.configure_optimizers()["optimizer"].state_dict()
    if params.start == "full":
        optimizer = {**optimizer, "state": _moments(base["optimizer_states"][0], optimizer, weights)}
    if params.start == "shrink_perturb":
        learned = {name for name, _ in classifier.named_parameters()}
        weights = {
            name: shrink_perturb(weight, fresh[name], params) if name in learned else weight
            for name, weight in weights.items()
        }
    return {**base, "state_dict": weights, "optimizer_states": [optimizer], "lr_schedulers": [], "callbacks": {}}


def shrink_perturb(weight: Tensor, fresh: Tensor, params: Train) -> Tensor:
    """`weight` scaled down, and mixed with a freshly drawn one of the same shape.

    Ash & Adams, arXiv 1910.08475, with the noise on the scale of the layer's own initialisation.
    """
    return params.shrink * weight + params.perturb * fresh.to(weight)


def _without_lost_classes(base: Checkpoint, classifier: Classifier) -> Checkpoint:
    """`base` without the rows of the classes that `classifier` does not know."""
    spec = spec_of(base, paths.BASE)
    kept = [position for position, name in enumerate(spec.classes) if name in classifier.spec.classes]
    if len(kept) == len(spec.classes):
        return base
    heads = {f"network.{name}" for name in rows_of_classes(spec)}
    weights = {name: weight[kept] if name in heads else weight for name, weight in base["state_dict"].items()}
    optimizer = base["optimizer_states"][0]
    state = dict(optimizer["state"])
    for name, number in _numbers_by_name(optimizer).items():
        if name in heads and number in state:
            state[number] = {key: value[kept] if value.dim() else value for key, value in state[number].items()}
    return {**base, "state_dict": weights, "optimizer_states": [{**optimizer, "state": state}]}


def _moments(base: dict[str, Any], fresh: dict[str, Any], weights: dict[str, Tensor]) -> dict[int, Any]:
    """The moments of `base`, by the numbers that `fresh` gives to the parameters."""
    by_name = {name: base["state"][number] for name, number in _numbers_by_name(base).items()}
    return {
        number: {key: grow(value, weights[name].new_zeros(weights[name].shape)) for key, value in by_name[name].items()}
        for name, number in _numbers_by_name(fresh).items()
    }


def _numbers_by_name(optimizer: dict[str, Any]) -> dict[str, int]:
    """The number under which the state of each parameter is kept."""
    return {
        name: number
        for group in optimizer["param_groups"]
        for name, number in zip(group["param_names"], group["params"], strict=True)
    }
