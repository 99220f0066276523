"""Compare two models that should be identical, and their training environments: what differs, and by how much."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pipeline.errors import CheckpointError
from pipeline.lineage.lineage import LINEAGE
from pipeline.lineage.seen_images import positions, read_seen
from pipeline.models.checkpoint import read_checkpoint
from pipeline.text import counted

# Names for the parts of Lightning's checkpoints in messages; all other parts are called settings.
PARTS = {
    "state_dict": "weights",
    "optimizer_states": "moments",
    "epoch": "counters",
    "global_step": "counters",
    "loops": "counters",
    "cursor": "counters",
    "lr_schedulers": "schedule",
}
Leaves = dict[tuple[str, ...], Any]


class Difference(NamedTuple):
    """The difference between two versions of one part of a model."""

    tensors: int
    """The number of tensors that differ."""
    among: int
    """The total number of tensors."""
    largest: float
    """The largest absolute difference of two elements; infinite if the shapes differ."""
    values: list[str]
    """Descriptions of the values other than tensors that differ."""

    def __str__(self) -> str:
        """Describe the difference briefly."""
        tensors = f"{self.tensors:,} of {self.among:,} tensors, by up to {self.largest:.2g}"
        more = f" and {len(self.values) - 1:,} more" if len(self.values) > 1 else ""
        return ", ".join([tensors] * bool(self.tensors) + [f"{value}{more}" for value in self.values[:1]])


def differences(then: Path, now: Path) -> dict[str, Difference]:
    """Return how the models in two folders differ, by part; empty if they have equal content, even in different bytes.

    Raises:
        CheckpointError: one of the models cannot be read.
    """
    first, second = (dict(_leaves(read_checkpoint(model))) for model in (then, now))
    parts = sorted({PARTS.get(name[0], "settings") for name in first | second})
    checkpoint = {part: _difference(_of(part, first), _of(part, second)) for part in parts}
    lineage = changes(_read_json(then / LINEAGE), _read_json(now / LINEAGE))
    beside = {"lineage": Difference(0, 0, 0, lineage), "seen": Difference(0, 0, 0, _seen(then, now))}
    return {part: found for part, found in (checkpoint | beside).items() if found.tensors or found.values}


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Describe the entries that differ between two mappings."""
    missing = "nothing"
    return [
        f"{name} {then.get(name, missing)} then, {now.get(name, missing)} now"
        for name in (*then, *(name for name in now if name not in then))
        if then.get(name, missing) != now.get(name, missing)
    ]


def _of(part: str, leaves: Leaves) -> Leaves:
    return {name: leaf for name, leaf in leaves.items() if PARTS.get(name[0], "settings") == part}


def _difference(then: Leaves, now: Leaves) -> Difference:
    tensors = {name for leaves in (then, now) for name, leaf in leaves.items() if isinstance(leaf, Tensor)}
    gaps = [gap for name in tensors if (gap := _gap(then.get(name), now.get(name))) is not None]
    values = changes(
        *({".".join(name): leaf for name, leaf in leaves.items() if name not in tensors} for leaves in (then, now))
    )
    return Difference(len(gaps), len(tensors), max(gaps, key=_size, default=0.0), values)


def _gap(then: Any, now: Any) -> float | None:
    """Return the largest absolute difference of two elements; None if the tensors are equal bit by bit."""
    if not (isinstance(then, Tensor) and isinstance(now, Tensor)) or then.shape != now.shape:
        return math.inf
    if then.dtype == now.dtype and torch.equal(_bits(then), _bits(now)):
        return None
    return float((then.double() - now.double()).abs().max())


def _size(gap: float) -> float:
    """Return a sort key that treats NaN as infinite."""
    return math.inf if math.isnan(gap) else gap


def _bits(tensor: Tensor) -> Tensor:
    """View a tensor as bytes, so that −0 differs from 0, and NaN equals itself."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def _leaves(value: Any, name: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each leaf of the nested `value` with its path of keys and indices."""
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    else:
        yield name, value
        return
    for key, item in items:
        yield from _leaves(item, (*name, str(key)))


def _seen(then: Path, now: Path) -> list[str]:
    first, second = read_seen(then), read_seen(now)
    found = []
    labels = first.compare(second.labels)
    for count, what in ((labels.new, "more"), (labels.removed, "fewer"), (labels.relabelled, "of another label")):
        found += [f"{counted(count, 'image')} {what} now"] * bool(count)
    earlier = sum(int((positions(*pair) < 0).sum()) for pair in _both_ways(first.earlier, second.earlier))
    return [*found, *([f"{earlier:,} other earlier images now"] * bool(earlier))]


def _both_ways(first: Any, second: Any) -> Iterator[tuple[Any, Any]]:
    yield first, second
    yield second, first


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(path, f"cannot be read: {type(error).__name__}", "run `dvc checkout`") from None
    if not isinstance(content, dict):
        raise CheckpointError(path, "no lineage of a model", "run `dvc checkout`")
    return content
