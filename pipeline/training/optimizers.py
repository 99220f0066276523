"""The optimizer and the learning-rate schedule of a generation, and the training history of each weight."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import torch
from schedulefree import AdamWScheduleFree
from torch import Tensor
from torch.nn import Parameter
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from pipeline.errors import ParamError
from pipeline.models.layers import BACKBONE, factors_of, head_weights
from pipeline.models.network import Network
from pipeline.param_types import is_own
from pipeline.train_params import Train
from pipeline.training.own_code import own_optimizer

OptimizerState = dict[str, Any]


class History(NamedTuple):
    """The training history of a weight, from the optimizer state of the base."""

    steps: int
    peak: float | None
    """The highest learning rate so far, None if the optimizer does not store it."""
    weight: float | None
    """The sum of the averaging weights of its values so far, None if the optimizer does not store it."""


Histories = Mapping[str, History]


class Schedule(NamedTuple):
    """The learning rate of one generation: it rises linearly to its peak, then stays there or falls linearly to 0."""

    steps: int
    peak: float
    rise: int
    """Number of steps until the peak."""
    stays: bool = False
    """Whether it stays at the peak instead of falling to 0."""
    known: Histories | None = None
    """Histories of the weights that the base has trained, by name; None for a cold start."""
    alone: int = 0
    """Number of steps at the beginning in which only the head trains."""
    later_rise: int = 0
    """Steps until the peak for weights that start later: after `alone`, or not trained by the base."""

    def share_of_peak(self, step: int) -> float:
        """Return the learning rate at `step`, counted from 0, as a share of the peak."""
        if step < self.rise:
            return (step + 1) / self.rise
        return 1.0 if self.stays else max(0.0, (self.steps - step) / (self.steps - self.rise))

    def later_share_of_peak(self, step: int) -> float:
        """Return the share of the peak for weights that start after `alone` steps; 0 before."""
        later = Schedule(self.steps - self.alone, self.peak, self.later_rise, self.stays)
        return later.share_of_peak(step - self.alone) if step >= self.alone else 0.0


def schedule_of(params: Train, steps: int, *, warm: bool) -> Schedule:
    """Return the schedule of a generation of `steps` steps."""
    rise = _rise(params, steps)
    if params.optimizer == "schedule_free" and warm:
        return Schedule(steps, params.lr, 0, stays=True, later_rise=rise)
    if warm:
        return Schedule(steps, params.warm_lr * params.lr, rise, stays=becomes_mean(params))
    alone = 0 if params.freeze == BACKBONE else min(round(params.head_epochs / params.epochs * steps), steps - 1)
    return Schedule(
        steps,
        params.lr,
        _rise(params, alone or steps),
        stays=params.optimizer == "schedule_free",
        alone=alone,
        later_rise=_rise(params, steps - alone),
    )


def _rise(params: Train, steps: int) -> int:
    return min(round(params.warmup * steps), steps - 1)


def becomes_mean(params: Train) -> bool:
    """Whether the model of a warm start is the mean of its weights over the steps."""
    return params.optimizer == "adamw" and params.warm_mean


def histories(optimizer: OptimizerState) -> dict[str, History]:
    """Return the history of each weight, by name, from the state of a base's `optimizer`."""
    found = {}
    for group in optimizer["param_groups"]:
        states = [optimizer["state"].get(number, {}) for number in group["params"]]
        # AdamW counts steps per weight, the schedule-free optimizer per group.
        most = max((int(state.get("step", 0)) for state in states), default=0)
        for name, state in zip(group["param_names"], states, strict=True):
            steps = group.get("k", int(state.get("step", most)))
            found[name] = History(steps, group.get("lr_max"), group.get("weight_sum"))
    return found


class Kind(NamedTuple):
    """Properties shared by all weights that are trained alike."""

    factor: float
    """Factor on the learning rate."""
    begins_later: bool
    history: History | None
    """None if the optimizer counts steps per weight, or the base has not trained the weights."""


def optimizer_of(network: Network, params: Train, schedule: Schedule) -> Any:
    """Return the optimizer of the trainable weights of `network`, and its scheduler if any, in Lightning's format."""
    by_kind, groups = _by_kind(network, params, schedule), []
    for kind, pairs in by_kind.items():
        # Default values are left out, since the bytes of the checkpoint depend on which keys are present.
        of_kind = {} if kind.factor == 1 else {"lr": kind.factor * schedule.peak}
        if kind.begins_later and params.optimizer == "schedule_free":
            of_kind["warmup_steps"] = schedule.later_rise
        # Weight decay applies to matrices and filters, not to biases and the scales of normalisation.
        for of_matrices, decay in ((True, params.weight_decay), (False, 0.0)):
            if chosen := [pair for pair in pairs if (pair[1].ndim >= 2) == of_matrices]:
                groups.append({"params": chosen, "weight_decay": decay, **of_kind})
    if params.optimizer != "schedule_free":
        scheduled = _scheduled(network, groups, params, schedule.peak)
        kinds = {name: kind for kind, pairs in by_kind.items() for name, _ in pairs}
        rates = _rates(scheduled, kinds, params, schedule)
        return {"optimizer": scheduled, "lr_scheduler": {"scheduler": LambdaLR(scheduled, rates), "interval": "step"}}
    # Defazio et al., arXiv 2405.15682. In train mode the network holds the weights at which gradients are computed.
    optimizer = AdamWScheduleFree(groups, lr=schedule.peak, warmup_steps=schedule.rise)
    optimizer.train()
    _adapt_loaded_states(optimizer)
    return {"optimizer": optimizer}


def _scheduled(network: Network, groups: list[dict[str, Any]], params: Train, peak: float) -> Optimizer:
    """Return AdamW, or the optimizer of the project's own function."""
    if is_own(params.optimizer):
        return own_optimizer(params.optimizer, groups, lr=peak, weight_decay=params.weight_decay)
    # Fused on GPUs, except with loss scaling: a fused optimizer unscales gradients itself, too late for clipping.
    # Otherwise None, PyTorch's default: `False` would change the bytes of the checkpoint.
    on_gpu = any(weight.is_cuda for weight in network.parameters())
    adamw = AdamW(groups, lr=peak, fused=(on_gpu and params.precision != "16-mixed") or None)
    _adapt_loaded_states(adamw)
    return adamw


def _rates(
    optimizer: Optimizer, kinds: Mapping[str, Kind], params: Train, schedule: Schedule
) -> list[Callable[[int], float]]:
    """Return for each group of `optimizer` the function from the step to its learning-rate factor.

    `kinds` are the kinds of the weights by name.

    Raises:
        ParamError: the project's own function has put weights with different learning rates into one group.
    """
    rates: list[Callable[[int], float]] = []
    for group in optimizer.param_groups:
        found = {(kinds[name].factor, kinds[name].begins_later) for name in group["param_names"]}
        if len(found) > 1:
            what = "it puts weights into one group whose learning rates differ"
            asked = "train.head_lr, train.layer_decay or train.head_epochs"
            raise ParamError(params.optimizer, what, f"keep the groups apart, as they are given, or do without {asked}")
        begins_later = any(later for _, later in found)
        rates.append(schedule.later_share_of_peak if begins_later else schedule.share_of_peak)
    return rates


def _by_kind(network: Network, params: Train, schedule: Schedule) -> dict[Kind, list[tuple[str, Parameter]]]:
    """Group the trainable weights of `network` by kind, with their names in the Lightning module."""
    are_alike = params.layer_decay == params.head_lr == 1
    factors = {} if are_alike else factors_of(network, params.layer_decay, params.head_lr)
    of_head, known = head_weights(network), schedule.known or {}
    # The schedule-free optimizer counts steps per group, AdamW per weight.
    counts = params.optimizer == "schedule_free"
    kinds: dict[Kind, list[tuple[str, Parameter]]] = {}
    for place, weight in network.named_parameters():
        if weight.requires_grad:
            name = f"network.{place}"
            is_new = counts and bool(known) and name not in known
            later = place not in of_head if schedule.alone else is_new
            kind = Kind(factors.get(place, 1.0), later, known.get(name) if counts else None)
            kinds.setdefault(kind, []).append((name, weight))
    return kinds


def begin_later(optimizer: Any, later: Collection[Tensor]) -> None:
    """Reset the step counts of the groups of the weights `later`, if the optimizer counts steps per group.

    The bias correction of the second moment, which starts at 0, and the averaging weights depend on these counts.
    """
    places = {id(weight) for weight in later}
    for group in optimizer.param_groups:
        if "weight_sum" in group and id(group["params"][0]) in places:
            group |= {key: optimizer.defaults[key] for key in ("k", "weight_sum", "lr_max")}


def _adapt_loaded_states(optimizer: Optimizer) -> None:
    """Make `optimizer`, whose weights are on the training device, accept the state saved on another device.

    Without this, a loaded state would keep the memory layout and the `fused` option of the device that saved it.
    """
    fused = optimizer.param_groups[0].get("fused")

    def adapt(loaded: Optimizer) -> None:
        for group in loaded.param_groups:
            if "fused" in group:
                group["fused"] = fused
        for weight, state in loaded.state.items():
            for name, value in state.items():
                if name == "step":  # Without `fused` it must be on the CPU: PyTorch issue 74424.
                    state[name] = value.to(weight.device if fused else "cpu")
                elif value.shape == weight.shape and value.stride() != weight.stride():
                    state[name] = torch.empty_like(weight).copy_(value)

    optimizer.register_load_state_dict_post_hook(adapt)
