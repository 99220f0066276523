"""The optimizer of a generation and its learning rates, and how far the base had come with each weight."""

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
    """How a weight was trained before, as the optimizer of the base has it."""

    steps: int
    peak: float | None
    """The highest learning rate so far, None where the optimizer does not keep it."""
    weight: float | None
    """The sum of the weights of its values in their average, likewise."""


Histories = Mapping[str, History]


class Schedule(NamedTuple):
    """The learning rate of one generation: it rises to its peak, and stays there or falls to zero; both linearly."""

    steps: int
    peak: float
    rise: int
    """Steps until the peak."""
    stays: bool = False
    """Whether it stays at the peak instead."""
    known: Histories | None = None
    """Of the weights that the base has trained, by name; None at a cold start."""
    alone: int = 0
    """Steps at the beginning in which the head trains alone."""
    later_rise: int = 0
    """Steps until the peak of what begins when others go on: after `alone`, or where the base has not trained it."""

    def share_of_peak(self, step: int) -> float:
        """The learning rate at `step`, counted from 0."""
        if step < self.rise:
            return (step + 1) / self.rise
        return 1.0 if self.stays else max(0.0, (self.steps - step) / (self.steps - self.rise))

    def later_share_of_peak(self, step: int) -> float:
        """That of what begins after `alone`."""
        later = Schedule(self.steps - self.alone, self.peak, self.later_rise, self.stays)
        return later.share_of_peak(step - self.alone) if step >= self.alone else 0.0


def schedule_of(params: Train, steps: int, *, warm: bool) -> Schedule:
    """The schedule of a generation of so many steps."""
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
    """Whether a warm start becomes the mean of its weights."""
    return params.optimizer == "adamw" and params.warm_mean


def histories(optimizer: OptimizerState) -> dict[str, History]:
    """That of each weight, by name, which the `optimizer` of a base has trained."""
    found = {}
    for group in optimizer["param_groups"]:
        states = [optimizer["state"].get(number, {}) for number in group["params"]]
        # AdamW counts for each weight, and the average's are counted by group.
        most = max((int(state.get("step", 0)) for state in states), default=0)
        for name, state in zip(group["param_names"], states, strict=True):
            steps = group.get("k", int(state.get("step", most)))
            found[name] = History(steps, group.get("lr_max"), group.get("weight_sum"))
    return found


class Kind(NamedTuple):
    """What weights that are trained alike have in common."""

    factor: float
    """On the learning rate."""
    begins_later: bool
    history: History | None
    """None where the optimizer counts for each weight."""


def optimizer_of(network: Network, params: Train, schedule: Schedule) -> Any:
    """The optimizer of what trains of `network`, with a schedule if it has one, as Lightning takes both."""
    by_kind, groups = _by_kind(network, params, schedule), []
    for kind, pairs in by_kind.items():
        # What is as it always is goes without saying: the bytes of a checkpoint depend on it.
        of_kind = {} if kind.factor == 1 else {"lr": kind.factor * schedule.peak}
        if kind.begins_later and params.optimizer == "schedule_free":
            of_kind["warmup_steps"] = schedule.later_rise
        # Weight decay is for matrices and filters, not for biases and the scales of normalisation.
        for of_matrices, decay in ((True, params.weight_decay), (False, 0.0)):
            if chosen := [pair for pair in pairs if (pair[1].ndim >= 2) == of_matrices]:
                groups.append({"params": chosen, "weight_decay": decay, **of_kind})
    if params.optimizer != "schedule_free":
        scheduled = _scheduled(network, groups, params, schedule.peak)
        kinds = {name: kind for kind, pairs in by_kind.items() for name, _ in pairs}
        rates = _rates(scheduled, kinds, params, schedule)
        return {"optimizer": scheduled, "lr_scheduler": {"scheduler": LambdaLR(scheduled, rates), "interval": "step"}}
    # Defazio et al., arXiv 2405.15682. The network holds the weights that gradients are of, until `eval`.
    optimizer = AdamWScheduleFree(groups, lr=schedule.peak, warmup_steps=schedule.rise)
    optimizer.train()
    _adapt_loaded_states(optimizer)
    return {"optimizer": optimizer}


def _scheduled(network: Network, groups: list[dict[str, Any]], params: Train, peak: float) -> Optimizer:
    """AdamW, or what the project's own function makes."""
    if is_own(params.optimizer):
        return own_optimizer(params.optimizer, groups, lr=peak, weight_decay=params.weight_decay)
    # One kernel for all weights of a GPU; scaled gradients it would scale back itself, too late to clip them.
    # Elsewhere None, as PyTorch has it: `False` would be written as another file.
    on_gpu = any(weight.is_cuda for weight in network.parameters())
    adamw = AdamW(groups, lr=peak, fused=(on_gpu and params.precision != "16-mixed") or None)
    _adapt_loaded_states(adamw)
    return adamw


def _rates(
    optimizer: Optimizer, kinds: Mapping[str, Kind], params: Train, schedule: Schedule
) -> list[Callable[[int], float]]:
    """What the learning rate of each group of `optimizer` is multiplied by at a step; `kinds` of weights by name.

    Raises:
        ParamError: the project's own function has put weights together whose rates differ.
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
    """What trains of `network`, by name; the names are those of Lightning's module."""
    are_alike = params.layer_decay == params.head_lr == 1
    factors = {} if are_alike else factors_of(network, params.layer_decay, params.head_lr)
    of_head, known = head_weights(network), schedule.known or {}
    # AdamW counts the steps of each weight by itself.
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
    """Let the groups of the weights `later` count their steps from now on, where the optimizer counts by group.

    Its correction of a second moment that begins at 0, and the weights of the average, are by these counts.
    """
    places = {id(weight) for weight in later}
    for group in optimizer.param_groups:
        if "weight_sum" in group and id(group["params"][0]) in places:
            group |= {key: optimizer.defaults[key] for key in ("k", "weight_sum", "lr_max")}


def _adapt_loaded_states(optimizer: Optimizer) -> None:
    """Let `optimizer`, whose weights lie where they are trained, take in the state that another device left.

    Loading alone gives it the layout and the choice of kernels of where that was saved.
    """
    fused = optimizer.param_groups[0].get("fused")

    def adapt(loaded: Optimizer) -> None:
        for group in loaded.param_groups:
            if "fused" in group:
                group["fused"] = fused
        for weight, state in loaded.state.items():
            for name, value in state.items():
                if name == "step":  # On the CPU where it is read there: PyTorch's issue 74424.
                    state[name] = value.to(weight.device if fused else "cpu")
                elif value.shape == weight.shape and value.stride() != weight.stride():
                    state[name] = torch.empty_like(weight).copy_(value)

    optimizer.register_load_state_dict_post_hook(adapt)
