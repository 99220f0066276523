"""Load weights of another network as far as they fit: by name and shape, and the rows of the head by class."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from pipeline.models.network import Network, Spec, rows_of_classes
from pipeline.text import shown

# Number of names listed per kind of mismatch.
MOST = 5
# Prefixes of frameworks before the names of weights; the second is that of this pipeline's checkpoints.
PREFIXES = ("", "network.body.", "body.", "module.", "model.", "backbone.")

Weights = Mapping[str, Tensor]


class Fit(NamedTuple):
    """Summary of how far weights fitted a network."""

    fitted: int
    """Number of the network's tensors that were loaded, without the head."""
    among: int
    """Number of the network's tensors, without the head."""
    classes: int
    """Number of classes whose rows of the head were loaded."""
    missing: tuple[str, ...] = ()
    """Tensors of the network that the file lacks: a few names and the number of further ones."""
    unexpected: tuple[str, ...] = ()
    """Tensors of the file that the network lacks, in the same form."""
    other_shape: tuple[str, ...] = ()
    """Tensors whose shape or kind of number differs from the network's, in the same form."""

    def __str__(self) -> str:
        rows = f", rows of {self.classes:,} of its classes" if self.classes else ""
        kinds = (("missing", self.missing), ("unexpected", self.unexpected), ("of another shape", self.other_shape))
        return "; ".join(
            [f"{self.fitted:,} of {self.among:,} tensors{rows}", *(f"{kind}: {', '.join(n)}" for kind, n in kinds if n)]
        )


def fit_into(network: Network, spec: Spec, weights: Weights, classes: Sequence[str]) -> Fit:
    """Load those of `weights` that fit into `network`, built from `spec`; their head has a row for each of `classes`.

    Rows of other classes are left unchanged; if `classes` is empty, so is the whole head.
    """
    own = network.body.state_dict()  # Shares memory with the network.
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
        # Old files lack the batch counters of normalisation layers, which nothing depends on.
        missing=_few([name for name in own if name in rest - given.keys() and not name.endswith("batches_tracked")]),
        unexpected=_few([name for name in given if name not in own]),
        other_shape=_few([f"{name} {_shape(given[name])}" for name in own if name in rest & given.keys()]),
    )


def as_built(weights: Weights, body: nn.Module) -> dict[str, Tensor]:
    """Return `weights` under the names of `body`, converted to its image size as far as timm can do so."""
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
    except Exception:  # noqa: BLE001 (timm's filters know some file layouts, and may raise anything for others)
        return named


def _in_grey(value: Tensor, own: Tensor | None) -> Tensor:
    """Sum the first layer's filters over the three colour channels if `own` has one channel, as timm does."""
    if own is None or value.ndim != 4 or own.ndim != 4 or (value.shape[1], own.shape[1]) != (3, 1):
        return value
    return value.float().sum(1, keepdim=True)


def _is_alike(value: Tensor, own: Tensor) -> bool:
    return value.shape == own.shape and value.is_floating_point() == own.is_floating_point()


def _shape(value: Tensor) -> str:
    return " × ".join(map(str, value.shape)) or "a number"


def _few(names: Sequence[str]) -> tuple[str, ...]:
    """Return the first of `names`, printable and shortened, and the number of further names."""
    more = [f"{len(names) - MOST:,} more"] if len(names) > MOST else []
    return (*(shown(name)[:100] for name in names[:MOST]), *more)
