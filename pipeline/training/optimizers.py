"""The optimizer of a generation and its learning rates, and how far the base had come with each weight."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from schedulefree import AdamWScheduleFree
from torch.nn import Parameter
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from pipeline.params import Train

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
    """Of the weights that the base has trained, by name; others have a rise of their own. None at a cold start."""

    def share_of_peak(self, step: int) -> float:
        """The learning rate at `step`, counted from 0."""
        if step < self.rise:
            return (step + 1) / self.rise
        return 1.0 if self.stays else max(0.0, (self.steps - step) / (self.steps - self.rise))


def schedule_of(params: Train, steps: int, *, warm: bool) -> Schedule:
    """The schedule of a generation of so many steps."""
    rise = _rise(params, steps)
    if params.optimizer == "schedule_free":
        return Schedule(steps, params.lr, 0 if warm else rise, stays=True)
    if not warm:
        return Schedule(steps, params.lr, rise)
    return Schedule(steps, params.warm_lr * params.lr, rise, stays=becomes_mean(params))


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


def optimizer_of(named: Iterable[tuple[str, Parameter]], params: Train, schedule: Schedule) -> Any:
    """The optimizer of the weights that are `named`, with a schedule if it has one, as Lightning takes both."""
    known = schedule.known or {}
    groups = _groups([pair for pair in named if pair[1].requires_grad], params, known)
    if params.optimizer == "adamw":
        # One kernel for all weights of a GPU; scaled gradients it would scale back itself, too late to clip them.
        # Elsewhere None, as PyTorch has it: `False` would be written as another file.
        on_gpu = any(weight.is_cuda for group in groups for _, weight in group["params"])
        adamw = AdamW(groups, lr=schedule.peak, fused=(on_gpu and params.precision != "16-mixed") or None)
        _take_in(adamw)
        return {
            "optimizer": adamw,
            "lr_scheduler": {"scheduler": LambdaLR(adamw, schedule.share_of_peak), "interval": "step"},
        }
    for group in groups:
        if known and group["params"][0][0] not in known:
            group["warmup_steps"] = _rise(params, schedule.steps)
    # Defazio et al., arXiv 2405.15682. The network holds the weights that gradients are of, until `eval`.
    optimizer = AdamWScheduleFree(groups, lr=schedule.peak, warmup_steps=schedule.rise)
    optimizer.train()
    _take_in(optimizer)
    return {"optimizer": optimizer}


def _take_in(optimizer: Optimizer) -> None:
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


def _groups(named: list[tuple[str, Parameter]], params: Train, known: Histories) -> list[dict[str, Any]]:
    """The groups of weights that are trained alike."""
    alike: dict[Any, list[tuple[str, Parameter]]] = {}
    for name, weight in named:
        # The average counts steps by group, AdamW by weight.
        history = known.get(name) if params.optimizer == "schedule_free" else None
        alike.setdefault(history, []).append((name, weight))
    groups = []
    for pairs in alike.values():
        # Weight decay is for matrices and filters, not for biases and the scales of normalisation.
        for of_matrices, decay in ((True, params.weight_decay), (False, 0.0)):
            chosen = [pair for pair in pairs if (pair[1].ndim >= 2) == of_matrices]
            groups += [{"params": chosen, "weight_decay": decay}] if chosen else []
    return groups
