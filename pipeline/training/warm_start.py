"""Warm start: convert the checkpoint of the base into the initial checkpoint of a new generation for Lightning.

The counters of rounds and steps, the weights and the optimizer's state carry over. The optimizer's hyperparameters are
always those of the new generation. AdamW's learning-rate schedule restarts. The schedule-free optimizer continues as if
training had never stopped: from the raw weights y = lerp(x, z, 1 − β₁) in the terms of arXiv 2405.15682, where x are
the averaged weights, which are the model, and z those of the fast sequence.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipeline import paths
from pipeline.images.dataset import Dataset
from pipeline.lineage.class_changes import ClassChanges
from pipeline.models.checkpoint import Checkpoint, grow, network_of, spec_of
from pipeline.models.features import head_of, look
from pipeline.models.imprinting import imprint
from pipeline.models.network import Spec, rows_of_classes
from pipeline.models.resizing import resize
from pipeline.param_types import is_own
from pipeline.train_params import Train
from pipeline.training.feeding.loader import sample
from pipeline.training.feeding.prefetching import prefetch
from pipeline.training.feeding.sources import CPU
from pipeline.training.generation import Generation
from pipeline.training.module import Classifier
from pipeline.training.optimizers import OptimizerState, histories
from pipeline.training.own_code import KIND, kind_of

# Most images from which features are taken: of each new class, and of all known classes together.
OF_NEW, OF_KNOWN = 32, 512
BATCH = 64


def warm_start(
    base: Checkpoint,
    classifier: Classifier,
    params: Train,
    changes: ClassChanges,
    rows: Mapping[str, Tensor] | None = None,
) -> Checkpoint:
    """Convert `base` into the initial checkpoint of the generation that the untrained `classifier` is set up for.

    Each class inherits its rows of the head, and their optimizer state, from the class of `base` that `changes` maps to
    it, or the mean of several. New classes must come last. Their rows are `rows`, by name of the weight, or else those
    of `classifier`; their second moments are the mean over the other rows. An optimizer of the project's own continues
    with its state, and starts without one if the state belongs to another optimizer.
    """
    base, drawn = _with_rows_of_now(_of_size_now(base, classifier), classifier.spec, changes), classifier.state_dict()
    fresh = drawn | {name: torch.cat([drawn[name][: -len(new)], new]) for name, new in (rows or {}).items()}
    weights = {name: grow(base["state_dict"][name], like) for name, like in fresh.items()}
    made = classifier.configure_optimizers()["optimizer"]
    optimizer = made.state_dict()
    if not is_own(params.optimizer) and KIND not in base:
        go_on = _go_on_averaging if params.optimizer == "schedule_free" else _go_on_with_moments
        go_on(base["optimizer_states"][0], optimizer, weights)
    elif base.get(KIND) == kind_of(params.optimizer, made):
        _go_on_as_it_was(base, optimizer, weights)
    base = {name: value for name, value in base.items() if name != KIND}
    return {**base, "state_dict": weights, "optimizer_states": [optimizer], "lr_schedulers": [], "callbacks": {}}


def rows_of_new_classes(
    generation: Generation, training: Dataset, seed: int, device: torch.device = CPU
) -> dict[str, Tensor]:
    """Return rows of the head for the classes that are new to the base of `generation`, by name of the weight.

    They are computed from the base's features, on `device`, of images of `training`. The result is empty if the head is
    not a single linear layer, if no class is new or all are, or if the base was trained on another image size.
    """
    assert generation.base is not None
    base, spec, was = generation.base, generation.spec, spec_of(generation.base, paths.BASE)
    known = len(generation.changes.origins(was.classes, spec.classes))
    if known in (0, len(spec.classes)) or was.size != spec.size:
        return {}
    with torch.random.fork_rng(devices=[]):
        network = network_of(base, paths.BASE, edited=True).to(device)
    head = head_of(network)
    if not isinstance(head, nn.Linear):
        return {}
    place = next(name for name, module in network.named_modules() if module is head)
    names = {f"{place}.{name}" for name, _ in head.named_parameters()}
    if names != rows_of_classes(spec):
        return {}

    def features_of(chosen: npt.NDArray[np.bool_], count: int) -> Tensor:
        images = sample(training, count=count, batch_size=BATCH, seed=seed, among=np.flatnonzero(chosen))
        return torch.cat([look(network, batch).features for batch in prefetch(images, device)])

    with torch.inference_mode():
        new = [features_of(training.labels == name, OF_NEW) for name in spec.classes[known:]]
        rows = imprint(head, features_of(np.isin(training.labels, spec.classes[:known]), OF_KNOWN), new)
    return {f"network.{place}.{name}": value.cpu() for name, value in rows.items()}


def _of_size_now(base: Checkpoint, classifier: Classifier) -> Checkpoint:
    """Return `base` with its weights and optimizer state converted to the image size of `classifier`."""
    if spec_of(base, paths.BASE).size == classifier.spec.size:
        return base
    known, optimizer = base["state_dict"], base["optimizer_states"][0]
    weights = resize(known, classifier.network, classifier.spec)

    def brought(name: str, key: str, value: Tensor) -> Tensor:
        if not _is_like(value, known[name]):
            return value
        resized = resize({**known, name: value}, classifier.network, classifier.spec)[name]
        return resized.clamp(min=0) if key == "exp_avg_sq" else resized  # Cubic interpolation may undershoot.

    state = dict(optimizer["state"])
    for name, number in _numbers_by_name(optimizer).items():
        if weights[name].shape != known[name].shape and number in state:
            state[number] = {key: brought(name, key, value) for key, value in state[number].items()}
    return {**base, "state_dict": weights, "optimizer_states": [{**optimizer, "state": state}]}


def _with_rows_of_now(base: Checkpoint, now: Spec, changes: ClassChanges) -> Checkpoint:
    """Return `base` with a row of the head for each class in `now` that originates from its classes, in that order."""
    spec = spec_of(base, paths.BASE)
    origins = changes.origins(spec.classes, now.classes)
    assert tuple(origins) == now.classes[: len(origins)], "new classes come last"
    if list(origins.values()) == [[place] for place in range(len(spec.classes))]:
        return base
    heads = {f"network.{name}" for name in rows_of_classes(spec)}

    def rows(value: Tensor) -> Tensor:
        return torch.stack(
            [value[places].mean(0) if len(places) > 1 else value[places[0]] for places in origins.values()]
        )

    weights = {name: rows(weight) if name in heads else weight for name, weight in base["state_dict"].items()}
    optimizer = base["optimizer_states"][0]
    state = dict(optimizer["state"])
    for name, number in _numbers_by_name(optimizer).items():
        if name in heads and number in state:
            like = base["state_dict"][name]
            state[number] = {
                key: rows(value) if _is_like(value, like) else value for key, value in state[number].items()
            }
    return {**base, "state_dict": weights, "optimizer_states": [{**optimizer, "state": state}]}


def _go_on_with_moments(base: OptimizerState, optimizer: OptimizerState, weights: dict[str, Tensor]) -> None:
    """Copy the moments of `base` into the AdamW state `optimizer`; missing first moments (schedule-free) start at 0."""
    known = histories(base)
    for name, number, state in _states(base, optimizer):
        zeros = torch.zeros_like(weights[name])
        optimizer["state"][number] = {
            "step": state.get("step", torch.tensor(float(known[name].steps))),
            "exp_avg": grow(state.get("exp_avg", zeros), zeros),
            "exp_avg_sq": _second_moment(state, zeros),
        }


def _go_on_averaging(base: OptimizerState, optimizer: OptimizerState, weights: dict[str, Tensor]) -> None:
    """Copy the state of `base` into the schedule-free `optimizer`, and convert the averaged `weights` to raw ones.

    If `base` is AdamW's, its weights are treated as the average over all its steps. Weights that `base` did not train
    start at step 0, as the bias correction of their second moment, which starts at 0, requires.
    """
    beta, known = optimizer["param_groups"][0]["betas"][0], histories(base)
    for name, number, state in _states(base, optimizer):
        z = grow(state.get("z", weights[name]), weights[name]).clone()
        optimizer["state"][number] = {"z": z, "exp_avg_sq": _second_moment(state, z)}
        weights[name] = weights[name].lerp(z, 1 - beta)
    for group in optimizer["param_groups"]:
        (history,) = {known.get(name) for name in group["param_names"]}
        if history is not None:
            steps, peak, weight = history
            group["k"], group["lr_max"] = steps, group["lr"] if peak is None else peak
            group["weight_sum"] = steps * group["lr"] ** group["weight_lr_power"] if weight is None else weight


def _go_on_as_it_was(base: Checkpoint, optimizer: OptimizerState, weights: dict[str, Tensor]) -> None:
    """Copy the state in `base` into the project's own `optimizer`; new rows get the mean of the others.

    If a weight has grown, a state with arrays of other shapes than the weight's is dropped.
    """
    for name, number, state in _states(base["optimizer_states"][0], optimizer):
        was, now = base["state_dict"][name], weights[name]
        if was.shape == now.shape or all(_is_like(value, was) or not _is_array(value) for value in state.values()):
            optimizer["state"][number] = {key: _grown(value, was, now) for key, value in state.items()}


def _grown(value: Any, was: Tensor, now: Tensor) -> Any:
    if was.shape == now.shape or not _is_like(value, was):
        return value
    return grow(value, value.double().mean(0).to(value.dtype).expand_as(now))


def _is_array(value: object) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0


def _is_like(value: object, weight: Tensor) -> bool:
    """Whether `value` is a tensor of the shape of `weight`, with at least one dimension."""
    return isinstance(value, Tensor) and value.dim() > 0 and value.shape == weight.shape


def _second_moment(state: dict[str, Any], like: Tensor) -> Tensor:
    """Return the second moment in `state`, grown by its mean row; 0 would make steps of new rows 30 times too long."""
    known: Tensor = state["exp_avg_sq"]
    return grow(known, known.mean(0).expand_as(like)) if known.dim() else known


def _states(base: OptimizerState, optimizer: OptimizerState) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield name, number in `optimizer` and state in `base` of each parameter that has a state in `base`."""
    numbers = _numbers_by_name(base)
    for name, number in _numbers_by_name(optimizer).items():
        if state := base["state"].get(numbers.get(name)):
            yield name, number, state


def _numbers_by_name(optimizer: dict[str, Any]) -> dict[str, int]:
    """Return the number of each parameter's state, by the parameter's name."""
    return {
        name: number
        for group in optimizer["param_groups"]
        for name, number in zip(group["param_names"], group["params"], strict=True)
    }
