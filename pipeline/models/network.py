"""Networks: a small built-in convolutional one, all models of timm, and those of a project's own code."""

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
    """Everything that determines the shape of a network; stored in its checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: str
    """The param `train.model`."""
    size: int
    """Height and width of the network's input after the center crop, in pixels."""
    mode: str
    """Colour mode of the images, the param `ingest.mode`."""
    classes: tuple[str, ...]
    """Class names in the order of the outputs."""
    framing: Literal["fill", "squash"] = "fill"
    """How images become squares, the param `train.framing`."""
    crop_pct: float = 1.0
    """Share of the square's side that the center crop keeps; `train.crop_pct` as a number."""

    @property
    def source(self) -> int:
        """Height and width of the images before the center crop, in pixels."""
        return source_of(self.size, self.crop_pct)

    def as_kept(self) -> dict[str, Any]:
        """Return the spec in JSON types for a checkpoint, without defaults, as in checkpoints of older releases."""
        return self.model_dump(mode="json", exclude_defaults=True)


class Network(nn.Module):
    """A network from pixels to one logit per class; the same in training, evaluation and export."""

    def __init__(
        self,
        body: nn.Module,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        size: int | None = None,
        own_head: str | None = None,
    ) -> None:
        """Wrap `body`; larger images are center-cropped to `size` × `size` pixels, or not cropped if `size` is None.

        If `body` is built by the project's own code, `own_head` is the name of its last layer, "" if not known.
        """
        super().__init__()
        self.body, self._size, self.own_head = body, size, own_head
        self.register_buffer("mean", torch.tensor(mean)[:, None, None] * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None] * 255, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images of shape (n, channels, height, width), uint8, to logits of shape (n, classes), float32."""
        logits: Tensor = self.body(self.scaled(images))
        return logits.float()

    def scaled(self, images: Tensor) -> Tensor:
        """Return the input of the body: `images`, center-cropped and normalised, float32."""
        images = images if self._size is None else middle(images, self._size)
        # Not `contiguous`: with a single channel it regards every layout as channels-last and keeps the slower one.
        scaled = torch.empty_like(images, dtype=torch.float32, memory_format=torch.channels_last).copy_(images)
        return scaled.sub_(self.get_buffer("mean")).div_(self.get_buffer("std"))


def rows_of_classes(spec: Spec) -> frozenset[str]:
    """Return the names of those weights of the network of `spec` that have one row per class.

    Raises:
        ParamError: the network is the project's own, and further weights depend on the number of classes.
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
    """Build the untrained network of `spec`; `pretrained` loads the published weights of a timm model."""
    channels = 1 if spec.mode == "grey" else 3
    if spec.model.startswith(TIMM):
        return _from_timm(spec, channels, pretrained=pretrained)
    if is_own(spec.model):
        return _own(spec, channels)
    return Network(small(channels, len(spec.classes)), (0.5,) * channels, (0.25,) * channels, spec.size)


def small(channels: int, classes: int) -> nn.Module:
    """Build a residual network with 0.3 million weights for small images: good at 28 × 28, usable up to 96 × 96."""
    stem = [nn.Conv2d(channels, WIDTHS[0], 3, padding=1, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU(inplace=True)]
    stages = [_Residual(before, after) for before, after in zip(WIDTHS[:1] + WIDTHS[:-1], WIDTHS, strict=True)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], classes)]
    return nn.Sequential(*stem, *stages, *head)


def _own(spec: Spec, channels: int) -> Network:
    """Build and check the network of a function of the project's own code."""
    body = imported.build_body(spec.model, channels=channels, classes=len(spec.classes), size=spec.size)
    head = imported.head_name(spec.model, body, channels=channels, classes=len(spec.classes), size=spec.size)
    network = Network(body, (0.5,) * channels, (0.25,) * channels, spec.size, head)
    images = torch.arange(2 * channels * spec.size**2).remainder(251).reshape(2, channels, spec.size, spec.size)
    imported.check_outputs(spec.model, body, network.scaled(images), len(spec.classes))
    return network


class _Residual(nn.Module):
    """Residual block that halves height and width (He et al., arXiv 1512.03385; pooled shortcut as in 1812.01187)."""

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
    """Whether the host of published weights is unreachable; Hugging Face's library would take a minute to notice."""
    if getproxies():
        return False
    host = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    try:
        with socket.create_connection((host.hostname, host.port or 443), timeout=5):
            return False
    except OSError:
        return True


def crop_pct_of(model: str, crop_pct: float | Literal["model"]) -> float:
    """Return `train.crop_pct` as a number: `model` is the value of timm's evaluation, or 1 for networks outside timm.

    Raises:
        ParamError: timm has no such model, or is not installed.
    """
    if crop_pct != "model":
        return float(crop_pct)
    if not model.startswith(TIMM):
        return 1.0
    timm, name = _known_to_timm(model)
    config = timm.get_pretrained_cfg(name)
    return float(config.crop_pct) if config else 1.0


def _known_to_timm(model: str) -> tuple[Any, str]:
    """Return the module timm, and timm's name of `model`."""
    try:
        import timm
    except ModuleNotFoundError:
        hint = "run `pip install timm`, or choose `small`"
        raise ParamError(PARAMS, f"train.model is {model!r}, but timm is not installed", hint) from None
    name = model.removeprefix(TIMM)
    tagged = "." in name  # The name of an architecture, or with a tag for one of its published weights.
    if not timm.is_model(name) or (tagged and name not in timm.list_pretrained()):
        near = get_close_matches(name, timm.list_pretrained() if tagged else timm.list_models(), n=1, cutoff=0)[0]
        raise ParamError(PARAMS, f"train.model: timm has no model {name!r}", f"the nearest one is {TIMM}{near}")
    return timm, name


def _stay_offline() -> None:
    """Make Hugging Face's library use weights from its cache only, and fail at once if they are not there."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    if library := sys.modules.get("huggingface_hub.constants"):  # If imported, it has already read the variable.
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
        what = f"train.pretrained: the weights of {name} are not available ({one_line(error)})"
        raise ParamError(PARAMS, what, "run it once with a network, or set train.pretrained to false") from None
    mean, std = body.pretrained_cfg["mean"], body.pretrained_cfg["std"]
    if channels == 1:
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    return Network(body, mean, std, spec.size)


def _takes(body: Any, channels: int, size: int) -> bool:
    """Whether `body`, a timm model, accepts images of that size; some transformers accept a single size only."""
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
    """Build a model of fixed input size with `create` for images of the size of `spec`."""
    try:
        body = create(img_size=spec.size)
    except (AssertionError, TypeError, ValueError):
        body = None
    if body is None or not _takes(body, channels, spec.size):
        native, what = create().pretrained_cfg["input_size"][-1], f"{spec.model} takes no images of {spec.size} pixels"
        raise ParamError(PARAMS, f"train.size: {what}", f"set it to {native}")
    return body
