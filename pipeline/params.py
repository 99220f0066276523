"""params.yaml, typed: one section a stage, no defaults in code, since DVC would not see them.

The sentence under each field is the parameter's documentation; README's table is made from it.
"""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline import paths
from pipeline.errors import ParamError, one_line

Share = Annotated[float, Field(ge=0, lt=1)]
Tolerance = Annotated[float | None, Field(ge=0, lt=1)]
MODELS = "it should be small, or timm/ and the name of a model of timm's: timm/resnet18, say"
Seed = Annotated[int, Field(ge=0, lt=2**32)]
# What replaces parameters of earlier releases.
GONE = {
    **dict.fromkeys(("train.new_epochs", "train.new_share"), "remove it; train.passes is what follows new images"),
    **dict.fromkeys(("train.average", "train.keep"), "remove it; train.optimizer: schedule_free averages all weights"),
    "train.patience": "remove it; train.passes and train.epochs say how long a training is",
}


class Section(BaseModel):
    """A frozen group of parameters; an unknown key or a value of another type is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Ingest(Section):
    """How images are stored."""

    mode: Literal["rgb", "grey"]
    """Colour of the stored images."""
    size: Annotated[int, Field(ge=8, le=4096)]
    """Longest that the shorter side of a stored image may be, in pixels; larger ones are scaled down."""
    animations: Literal["first", "refuse"]
    """What becomes of animations and other files with several pages: their first one, or nothing."""
    strip: dict[str, Annotated[int, Field(ge=0, le=100)]]
    """How many folders lie above those that name classes, by archive or glob: `{photos.zip: 1}`; else none."""
    shard_size: Annotated[int, Field(ge=1, le=4096)]
    """Size of a shard, in MiB, beyond which the next one begins."""
    max_removed: Annotated[float, Field(ge=0, le=1)]
    """Share of the images that may go at once before the stage stops and asks whether that was meant."""
    max_refused: Annotated[float, Field(ge=0, le=1)]
    """Share of the files in data/raw that may be refused before the stage fails."""


class Split(Section):
    """Shares of the images that are not trained on."""

    val: Share
    """Share of the images that measure progress during training."""
    test: Share
    """Share of the images that only `evaluate` sees."""


class Manifest(Section):
    """Which image belongs to which split."""

    split: Split
    """Shares of the validation and test splits; the rest is trained on."""
    on_removed: Literal["keep", "ancestor"]
    """Whether a base that was trained on since removed images is kept, or its newest ancestor taken that was not."""
    seed: Seed
    """Another seed draws other splits."""


class Augment(Section):
    """Random changes to training images."""

    shift: Annotated[float, Field(ge=0, le=0.5)]
    """Largest shift in each direction, as a share of the image's side."""
    flip: bool
    """Whether half of the images are mirrored left to right."""


# What of `train:` changes no model; the stage depends on everything else in that section.
FREE = {"save_every"}


class Train(Section):
    """How a generation is trained."""

    start: Literal["full", "weights", "shrink_perturb", "cold"]
    """What a base gives: the whole state (`full`), `weights`, shrunk ones (`shrink_perturb`), or nothing (`cold`)."""
    shrink: Annotated[float, Field(gt=0, le=1)]
    """Factor on the base's weights, for `start: shrink_perturb`."""
    perturb: Share
    """Share of freshly drawn weights that is added to them."""
    model: Annotated[str, Field(pattern=r"^(small|timm/.+)$")]
    """`small`, the convolutional network built in, or `timm/NAME` (needs the extra `timm`)."""
    pretrained: bool
    """Whether a cold start of a timm model begins with its published weights."""
    size: Annotated[int, Field(ge=8, le=1024)]
    """Height and width that the network sees, in pixels."""
    epochs: Annotated[int, Field(ge=1)]
    """Passes over the training images of a cold start; a warm one has no more."""
    passes: Annotated[float, Field(ge=1)]
    """Images that a warm start draws for each that is new, relabelled or gone: new ones once, the rest from all."""
    min_steps: Annotated[int, Field(ge=1)]
    """Fewest steps of a warm start, however little is new."""
    warm_epochs: Annotated[int, Field(ge=1)]
    """Passes over the training images of a warm start, for `optimizer: adamw` instead of `passes`."""
    balance: Annotated[float, Field(ge=0, le=1)]
    """How far rare classes weigh more in the loss: 0 not at all, 1 so that all classes weigh the same."""
    batch_size: Annotated[int, Field(ge=4)]
    """Most images in one step; the steps of a training are of nearly equal size."""
    optimizer: Literal["schedule_free", "adamw"]
    """AdamW without a schedule, whose averaged weights are the model; or `adamw`, whose learning rate falls to zero."""
    lr: Annotated[float, Field(gt=0)]
    """Peak of the learning rate."""
    warm_lr: Annotated[float, Field(gt=0, le=1)]
    """Factor on `lr` at a warm start, for `optimizer: adamw`."""
    warmup: Share
    """Share of the steps in which the learning rate rises to its peak, where the optimizer begins."""
    weight_decay: Annotated[float, Field(ge=0)]
    """Decoupled weight decay of AdamW."""
    warm_mean: bool
    """Whether an `adamw` warm start keeps the learning rate at its peak, and becomes the mean of its weights."""
    label_smoothing: Share
    """Share of the target spread over all classes."""
    augment: Augment
    """Random changes to training images."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    """Number format of the computation."""
    save_every: Annotated[float, Field(gt=0)]
    """Seconds between savings of the unfinished training; changing it retrains nothing."""
    compile: bool
    """Whether torch.compile makes the network faster, and its first step slower."""
    deterministic: bool
    """Whether only algorithms that give the same bits every time may run."""
    seed: Seed
    """Another seed draws other weights, orders and augmentations."""


class Gate(Section):
    """What a model may lose against its base and still be accepted."""

    drop: Tolerance
    """Largest tolerated loss of accuracy on the test images; null tolerates any."""
    class_drop: Tolerance
    """Largest tolerated loss of recall in any one class; null tolerates any."""
    flips: Tolerance
    """Largest tolerated share of test images that the base had right and the model has wrong; null tolerates any."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)]
    """How sure it must be that more is lost than is tolerated before a model is refused."""


class Evaluate(Section):
    """How a model is judged."""

    gate: Gate
    """Whether a model may be the next base."""


class Compute(Section):
    """Where and how fast things run; a change here reruns nothing."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"]
    """What trains."""
    devices: Annotated[int, Field(ge=1)]
    """How many of them on each node; the images of a step are shared out among all."""
    nodes: Annotated[int, Field(ge=1)]
    """How many machines; each runs the same command, started by torchrun, SLURM or the like."""
    strategy: Literal["auto", "ddp"]
    """How several work together, as Lightning names it; `auto` leaves it to Lightning."""
    workers: Annotated[int, Field(ge=0)]
    """Processes that decode images; 0 stands for one a core."""
    decoded: Annotated[int, Field(ge=0)]
    """Most that decoded images may take on disk, in MiB; further ones are decoded whenever they are needed."""
    batch_size: Annotated[int, Field(ge=1)]
    """Images in one step where nothing is learned."""

    @property
    def processes(self) -> int:
        """How many decode for each device, with `workers` shared out among those of a machine."""
        return max(1, (self.workers or os.cpu_count() or 1) // self.devices)


class Params(Section):
    """All of params.yaml."""

    ingest: Ingest
    manifest: Manifest
    train: Train
    evaluate: Evaluate
    compute: Compute


def read_params(path: Path = paths.PARAMS) -> Params:
    """Read and check all of params.yaml.

    Raises:
        ParamError: naming the first key that is unknown, missing, of a wrong type or out of range.
    """
    try:
        # YAML 1.2, as DVC reads it: `1e-3` is a number.
        content = YAML(typ="safe").load(path)
    except FileNotFoundError:
        raise ParamError(path, "no such file", "run `git checkout params.yaml`") from None
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: of a date or number that cannot be.
        raise ParamError(path, f"not YAML: {one_line(error)}", "correct that line") from None
    try:
        params = Params.model_validate(content)
    except ValidationError as error:
        raise _as_param_error(path, min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")) from None
    if (split := params.manifest.split).val + split.test >= 1:
        what = f"manifest.split: val {split.val} + test {split.test} leave nothing to train on"
        raise ParamError(path, what, "their sum must be below 1")
    return params


def _as_param_error(path: Path, error: ErrorDetails) -> ParamError:
    key = ".".join(str(part) for part in error["loc"]) or "the file"
    if error["type"] == "extra_forbidden":
        near = _nearest(str(error["loc"][-1]), list(_section_at(error["loc"][:-1]).model_fields))
        return ParamError(path, f"{key} is not a parameter", GONE.get(key, f"the nearest one is {near}"))
    if error["type"] == "missing":
        return ParamError(path, f"{key} is missing", "add it, or run `git diff params.yaml` to see what changed")
    if error["type"] == "string_pattern_mismatch":
        return ParamError(path, f"{key} is {error['input']!r}", MODELS)
    # What pydantic says begins with "Input should …".
    allowed = error["msg"].partition(" should ")[2] or error["msg"]
    if key == "train.batch_size" and error["type"] == "greater_than_equal":
        allowed += ", so that every step has the two images that batch normalisation needs"
    return ParamError(path, f"{key} is {error['input']!r}", f"it should {allowed}")


def _nearest(name: str, valid: list[str]) -> str:
    """That of the names `valid` which `name` is meant to be: learning_rate stands for lr, and wd for weight_decay."""
    initials = {one: "".join(word[:1] for word in one.split("_")) for one in [*valid, name]}
    short = (one for one in valid if name == initials[one] or one == initials[name])
    return next(short, None) or get_close_matches(name, valid, n=1, cutoff=0)[0]


def _section_at(loc: tuple[int | str, ...]) -> type[Section]:
    section: Any = Params
    for part in loc:
        section = section.model_fields[str(part)].annotation
    return cast("type[Section]", section)
