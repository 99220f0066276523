"""Weights that were made for another network, as far as they fit into one: by name and shape, the head by class."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from pipeline.models.network import Network, Spec, rows_of_classes
from pipeline.text import shown

# Names that are listed of each kind.
MOST = 5
# What frameworks write before the names of a network's weights; the second is ours.
PREFIXES = ("", "network.body.", "body.", "module.", "model.", "backbone.")

Weights = Mapping[str, Tensor]


class Fit(NamedTuple):
    """What became of weights that were put into a network."""

    fitted: int
    """How many of the network's tensors were taken, the head apart."""
    among: int
    """Of how many."""
    classes: int
    """How many classes have their rows of the head."""
    missing: tuple[str, ...] = ()
    """Tensors that the network has and the file has not; a few, and how many more."""
    unexpected: tuple[str, ...] = ()
    """The other way round."""
    other_shape: tuple[str, ...] = ()
    """Those of another shape, or of another kind of number."""

    def __str__(self) -> str:
        rows = f", rows of {self.classes:,} of its classes" if self.classes else ""
        kinds = (("missing", self.missing), ("unexpected", self.unexpected), ("of another shape", self.other_shape))
        return "; ".join(
            [f"{self.fitted:,} of {self.among:,} tensors{rows}", *(f"{kind}: {', '.join(n)}" for kind, n in kinds if n)]
        )


def fit_into(network: Network, spec: Spec, weights: Weights, classes: Sequence[str]) -> Fit:
    """Put into `network`, which is that of `spec`, what fits of `weights`, whose head has a row for each of `classes`.

    The rows of other classes stay as they are, and where `classes` are unknown all of the head does.
    """
    own = network.body.state_dict()  # The network's memory, and no copy of it.
    heads = {name.removeprefix("body.") for name in rows_of_classes(spec)}
    given = {name: _in_grey(value, own.get(name)) for name, value in as_built(weights, network.body).items()}
    fitting = {name for name in own.keys() - heads if name in given and _is_alike(given[name], own[name])}
    for name in fitting:
        own[name].copy_(given[name])
    known = [name for name in spec.classes if name in classes]
    for name in heads & given.keys():
        if len(given[name]) == len(classes) and _is_alike(given[name][:1], own[name][:1]):
            for label in known:
                own[name][spec.classes.index(label)] = given[name][classes.index(label)]
    rest = own.keys() - heads - fitting
    return Fit(
        fitted=len(fitting),
        among=len(own.keys() - heads),
        classes=len(known),
        # Old files do not count batches, which nothing depends on.
        missing=_few([name for name in own if name in rest - given.keys() and not name.endswith("batches_tracked")]),
        unexpected=_few([name for name in given if name not in own]),
        other_shape=_few([f"{name} {_shape(given[name])}" for name in own if name in rest & given.keys()]),
    )


def as_built(weights: Weights, body: nn.Module) -> dict[str, Tensor]:
    """`weights` under the names of `body`, and of its size, as far as timm can bring them to it."""
    own = {name: value.shape for name, value in body.state_dict().items()}

    def hits(prefix: str) -> int:
        return sum(name.startswith(prefix) and name.removeprefix(prefix) in own for name in weights)

    prefix = max(PREFIXES, key=hits)
    named = {name.removeprefix(prefix): value for name, value in weights.items()}
    adapt: Callable[..., dict[str, Tensor]] | None
    adapt = getattr(sys.modules[type(body).__module__], "checkpoint_filter_fn", None)
    if adapt is None or {name: value.shape for name, value in named.items()} == own:
        return named
    try:
        return {name: value for name, value in adapt(dict(named), body).items() if isinstance(value, Tensor)}
    except Exception:  # noqa: BLE001 (it knows some files, and stumbles over others)
        return named


def _in_grey(value: Tensor, own: Tensor | None) -> Tensor:
    """The first layer's filters of three colours, summed for images of one channel, as timm does it."""
    if own is None or value.ndim != 4 or own.ndim != 4 or (value.shape[1], own.shape[1]) != (3, 1):
        return value
    return value.float().sum(1, keepdim=True)


def _is_alike(value: Tensor, own: Tensor) -> bool:
    return value.shape == own.shape and value.is_floating_point() == own.is_floating_point()


def _shape(value: Tensor) -> str:
    return " × ".join(map(str, value.shape)) or "a number"


def _few(names: Sequence[str]) -> tuple[str, ...]:
    """The first of `names`, fit for people, and how many more there are."""
    more = [f"{len(names) - MOST:,} more"] if len(names) > MOST else []
    return (*(shown(name)[:100] for name in names[:MOST]), *more)
