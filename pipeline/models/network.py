"""The networks: a small convolutional one built in, any of timm's, and those of a project's own code."""

import os
import socket
import sys
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from pipeline.errors import ParamError, one_line
from pipeline.models import imported
from pipeline.models.framing import middle, source_of
from pipeline.param_types import is_own
from pipeline.paths import PARAMS

TIMM = "timm/"
WIDTHS = (32, 64, 128)


class Spec(BaseModel):
    """What a network's shape follows from; kept in its checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: str
    """The param `train.model`."""
    size: int
    """Height and width of what it looks at, in pixels."""
    mode: str
    """Colour of its images, the param `ingest.mode`."""
    classes: tuple[str, ...]
    """Names in the order of its outputs."""
    framing: Literal["fill", "squash"] = "fill"
    """How images become squares, the param `train.framing`."""
    crop_pct: float = 1.0
    """Share of the square's side that it looks at, the middle; the number that `train.crop_pct` stands for."""

    @property
    def source(self) -> int:
        """Height and width of its images, of which it looks at the middle, in pixels."""
        return source_of(self.size, self.crop_pct)

    def as_kept(self) -> dict[str, Any]:
        """What a checkpoint keeps of it, in JSON's types: nothing of framing where that is as it always was."""
        return self.model_dump(mode="json", exclude_defaults=True)


class Network(nn.Module):
    """From pixels to one logit a class; the same in training, evaluation and export."""

    def __init__(
        self,
        body: nn.Module,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        size: int | None = None,
        own_head: str | None = None,
    ) -> None:
        """Looks at the middle `size` × `size` pixels of larger images; None: at all of them.

        Where `body` is the project's own, `own_head` names its last layer, empty if that is not known.
        """
        super().__init__()
        self.body, self._size, self.own_head = body, size, own_head
        self.register_buffer("mean", torch.tensor(mean)[:, None, None] * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None] * 255, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images of shape (n, channels, height, width), uint8, to logits of shape (n, classes), float32."""
        logits: Tensor = self.body(self.scaled(images))
        return logits.float()

    def scaled(self, images: Tensor) -> Tensor:
        """What the network itself is given of `images`: their middle, normalised, float32."""
        images = images if self._size is None else middle(images, self._size)
        # Not `contiguous`, which takes a single channel for last wherever it is, and leaves the slower layout.
        scaled = torch.empty_like(images, dtype=torch.float32, memory_format=torch.channels_last).copy_(images)
        return scaled.sub_(self.get_buffer("mean")).div_(self.get_buffer("std"))


def rows_of_classes(spec: Spec) -> frozenset[str]:
    """The names of the weights of the network of `spec` that hold a row for each of its classes.

    Raises:
        ParamError: it is the project's own, and others of its weights depend on the classes, too.
    """
    with torch.random.fork_rng(devices=[]):
        one, other = (
            build(spec.model_copy(update={"classes": classes})).state_dict()
            for classes in (spec.classes, (*spec.classes, ""))
        )
    if is_own(spec.model):
        imported.check_rows(spec.model, one, other, len(spec.classes))
    return frozenset(name for name, weight in one.items() if weight.shape != other[name].shape)


def build(spec: Spec, *, pretrained: bool = False) -> Network:
    """The untrained network of `spec`; `pretrained` loads the published weights of a timm model."""
    channels = 1 if spec.mode == "grey" else 3
    if spec.model.startswith(TIMM):
        return _from_timm(spec, channels, pretrained=pretrained)
    if is_own(spec.model):
        return _own(spec, channels)
    return Network(small(channels, len(spec.classes)), (0.5,) * channels, (0.25,) * channels, spec.size)


def small(channels: int, classes: int) -> nn.Module:
    """A residual network of 0.3 million weights, made for small images: good at 28 × 28, sound up to 96 × 96."""
    stem = [nn.Conv2d(channels, WIDTHS[0], 3, padding=1, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU(inplace=True)]
    stages = [_Residual(before, after) for before, after in zip(WIDTHS[:1] + WIDTHS[:-1], WIDTHS, strict=True)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], classes)]
    return nn.Sequential(*stem, *stages, *head)


def _own(spec: Spec, channels: int) -> Network:
    """The network that a function of the project's own builds."""
    body = imported.build_body(spec.model, channels=channels, classes=len(spec.classes), size=spec.size)
    head = imported.head_name(spec.model, body, channels=channels, classes=len(spec.classes), size=spec.size)
    network = Network(body, (0.5,) * channels, (0.25,) * channels, spec.size, head)
    images = torch.arange(2 * channels * spec.size**2).remainder(251).reshape(2, channels, spec.size, spec.size)
    imported.check_outputs(spec.model, body, network.scaled(images), len(spec.classes))
    return network


class _Residual(nn.Module):
    """Halves height and width (He et al., arXiv 1512.03385, with the shortcut pooled as in arXiv 1812.01187)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after)
        )

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.convolutions(images) + self.shortcut(images))


def _is_offline() -> bool:
    """Whether the host of published weights cannot be reached; Hugging Face's library takes a minute to find out."""
    if getproxies():
        return False
    host = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    try:
        with socket.create_connection((host.hostname, host.port or 443), timeout=5):
            return False
    except OSError:
        return True


def crop_pct_of(model: str, crop_pct: float | Literal["model"]) -> float:
    """The number that `train.crop_pct` stands for: `model` is what timm measured the weights with, 1 for `small`.

    Raises:
        ParamError: there is no such model, or no timm.
    """
    if crop_pct != "model":
        return float(crop_pct)
    if not model.startswith(TIMM):
        return 1.0
    timm, name = _known_to_timm(model)
    config = timm.get_pretrained_cfg(name)
    return float(config.crop_pct) if config else 1.0


def _known_to_timm(model: str) -> tuple[Any, str]:
    """timm, and its name of `model`."""
    try:
        import timm
    except ModuleNotFoundError:
        hint = "run `pip install timm`, or choose `small`"
        raise ParamError(PARAMS, f"train.model is {model!r}, but timm is not installed", hint) from None
    name = model.removeprefix(TIMM)
    tagged = "." in name  # An architecture, or one with the name of its published weights.
    if not timm.is_model(name) or (tagged and name not in timm.list_pretrained()):
        near = get_close_matches(name, timm.list_pretrained() if tagged else timm.list_models(), n=1, cutoff=0)[0]
        raise ParamError(PARAMS, f"train.model: timm has no model {name!r}", f"the nearest one is {TIMM}{near}")
    return timm, name


def _stay_offline() -> None:
    """Let Hugging Face's library take weights that are in its cache, and else say at once that they are not there."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    if library := sys.modules.get("huggingface_hub.constants"):  # It has read that already: `crop_pct_of` imports timm.
        library.__dict__["HF_HUB_OFFLINE"] = True


def _from_timm(spec: Spec, channels: int, *, pretrained: bool) -> Network:
    if pretrained and _is_offline():
        _stay_offline()
    timm, name = _known_to_timm(spec.model)
    create = partial(timm.create_model, name, pretrained=pretrained, num_classes=len(spec.classes), in_chans=channels)
    try:
        body = create()
        if not _takes(body, channels, spec.size):
            body = _at_size(create, channels, spec)
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        what = f"train.pretrained: the weights of {name} cannot be had ({one_line(error)})"
        raise ParamError(PARAMS, what, "run it once with a network, or set train.pretrained to false") from None
    mean, std = body.pretrained_cfg["mean"], body.pretrained_cfg["std"]
    if channels == 1:
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    return Network(body, mean, std, spec.size)


def _takes(body: Any, channels: int, size: int) -> bool:
    """Whether `body`, a model of timm's, takes images of that size as it is built; transformers may take just one."""
    config = body.pretrained_cfg
    if not config.get("fixed_input_size") or config["input_size"][-1] == size:
        return True
    was = body.training
    try:
        with torch.inference_mode():
            body.eval()(torch.zeros(1, channels, size, size))
    except (AssertionError, RuntimeError, ValueError):
        return False
    finally:
        body.train(was)
    return True


def _at_size(create: Callable[..., Any], channels: int, spec: Spec) -> Any:
    """What `create` makes for images of the size of `spec`, where it takes no others than those that it is made for."""
    try:
        body = create(img_size=spec.size)
    except (AssertionError, TypeError, ValueError):
        body = None
    if body is None or not _takes(body, channels, spec.size):
        native, what = create().pretrained_cfg["input_size"][-1], f"{spec.model} takes no images of {spec.size} pixels"
        raise ParamError(PARAMS, f"train.size: {what}", f"set it to {native}")
    return body
