"""A warm start: from the base checkpoint to one that Lightning goes on from, for a generation of its own.

Weights, optimizer moments and the counters of epochs and steps carry over. The learning-rate schedule begins anew, so
its state and the optimizer's hyperparameters are those of the new generation.
"""

from typing import Any

from pipeline.checkpoint import Checkpoint, grow
from pipeline.classifier import Classifier


def warm_start(base: Checkpoint, classifier: Classifier) -> Checkpoint:
    """`base` as the start of the generation that `classifier`, still untrained, is set up for.

    Where the classifier knows more classes, the rows of the new ones are taken from it, with moments of zero.
    """
    fresh = classifier.configure_optimizers()["optimizer"].state_dict()
    weights = {name: grow(base["state_dict"][name], like) for name, like in classifier.state_dict().items()}
    moments = _moments_by_name(base["optimizer_states"][0])
    state = {}
    for name, number in _numbers_by_name(fresh).items():
        like = weights[name].new_zeros(weights[name].shape)
        state[number] = {key: grow(value, like) for key, value in moments[name].items()}
    return {
        **base,
        "state_dict": weights,
        "optimizer_states": [{"state": state, "param_groups": fresh["param_groups"]}],
        "lr_schedulers": [],
    }


def _numbers_by_name(optimizer: dict[str, Any]) -> dict[str, int]:
    """The number under which the state of each parameter is kept."""
    return {
        name: number
        for group in optimizer["param_groups"]
        for name, number in zip(group["param_names"], group["params"], strict=True)
    }


def _moments_by_name(optimizer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: optimizer["state"][number] for name, number in _numbers_by_name(optimizer).items()}
