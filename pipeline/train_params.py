"""The section `train:` of params.yaml."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pipeline.augment_params import Augmentation
from pipeline.param_types import OWN, Loggers, Precision, Section, Seed, Share, as_weights, is_own

# What of `train:` changes no model; the stage depends on everything else in that section.
FREE = {"loggers", "save_every"}


class Train(Section):
    """How a generation is trained."""

    model: Annotated[str, Field(pattern=rf"^(small|timm/.+|{OWN})$")]
    """`small`, the network built in, `timm/NAME` (needs the extra `timm`), or your own: `my_project.nets:build`."""
    pretrained: Annotated[bool | str, BeforeValidator(as_weights)]
    """What a cold start begins with: `true`, weights that are published for a timm model, or a path in data/weights."""
    size: Annotated[int, Field(ge=8, le=1024)]
    """Height and width that the network sees, in pixels; above `ingest.size` images are enlarged."""
    epochs: Annotated[int, Field(ge=1)]
    """Passes over the training images of a cold start; a warm one has no more."""
    warm_epochs: Annotated[int, Field(ge=1)]
    """Passes over the training images of a warm start with a schedule (`adamw` or your own), which has no `passes`."""
    passes: Annotated[float, Field(ge=1)]
    """Images that a warm start draws for each that is new, relabelled or gone: new ones once, the rest from all."""
    min_steps: Annotated[int, Field(ge=1)]
    """Fewest steps of a warm start, however little is new."""
    balance: Annotated[float, Field(ge=0, le=1)]
    """How far rare classes weigh more in the loss: 0 not at all, 1 so that all classes weigh the same."""
    batch_size: Annotated[int, Field(ge=4)]
    """Most images in one step; the steps of a training are of nearly equal size."""
    optimizer: Annotated[str, Field(pattern=rf"^(schedule_free|adamw|{OWN})$")]
    """AdamW without a schedule, its averaged weights are the model; `adamw`, whose rate falls to zero; or your own."""
    lr: Annotated[float, Field(gt=0)]
    """Peak of the learning rate."""
    warm_lr: Annotated[float, Field(gt=0, le=1)]
    """Factor on `lr` at a warm start, for `optimizer: adamw` or your own."""
    warmup: Share
    """Share of the steps in which the learning rate rises to its peak, where the optimizer begins."""
    weight_decay: Annotated[float, Field(ge=0)]
    """Decoupled weight decay of AdamW."""
    warm_mean: bool
    """Whether an `adamw` warm start keeps the learning rate at its peak, and becomes the mean of its weights."""
    freeze: Literal["none", "backbone"] | Annotated[int, Field(ge=1)]
    """What stays as it is: `none`, `backbone` for all but the head, or so many groups of layers from the input on."""
    views: Annotated[int, Field(ge=1)]
    """Random views of each image that a frozen backbone looks at, where `augment` changes images."""
    head_epochs: Annotated[float, Field(ge=0)]
    """Of the `epochs` of a cold start so many, or a fraction of one, in which the head trains alone."""
    head_lr: Annotated[float, Field(gt=0)]
    """Factor on the learning rate of the head."""
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    """Factor from the learning rate of each group of layers to that of the group before it; 1: all have the same."""
    clip_norm: Annotated[float | None, Field(gt=0)]
    """Greatest norm of all gradients of a step together, to which longer ones are cut; null: none is."""
    accumulate: Annotated[int, Field(ge=1)]
    """Parts in which a step is computed, one after the other, so that a large one needs the memory of a small one."""
    framing: Literal["fill", "squash"]
    """How an image becomes a square: scaled to `fill` it, which cuts off what is beyond, or `squash`ed, all of it."""
    crop_pct: Annotated[float, Field(ge=0.25, le=1)] | Literal["model"]
    """Share of the square's side that the network sees, the middle; random crops show all. `model`: as timm has it."""
    loss: Annotated[str, Field(pattern=rf"^(cross_entropy|{OWN})$")]
    """`cross_entropy`, or your own, which gives the loss of each image: `my_project.losses:focal`."""
    label_smoothing: Share
    """Share of the target spread over all classes, for `loss: cross_entropy`."""
    augment: Augmentation
    """Random changes to training images: `none`, `light`, `strong`, some of docs/augmentation.md, or your own."""
    precision: Precision
    """Number format of the computation; `auto` is `bf16-mixed` on a GPU that has it, and else `32-true`."""
    save_every: Annotated[float, Field(gt=0)]
    """Seconds between savings of the unfinished training; changing it retrains nothing."""
    loggers: Loggers
    """Experiment trackers: `tensorboard`, `csv`, `mlflow`, `wandb`, `dvclive`; retrains nothing: docs/trackers.md."""
    compile: bool
    """Whether torch.compile makes the network faster, and its first step slower."""
    deterministic: bool
    """Whether only algorithms that give the same bits every time may run."""
    seed: Seed
    """Another seed draws other weights, orders and augmentations."""

    @property
    def own(self) -> dict[str, str]:
        """The params that name code of the project's own, `package.module:function`, by name."""
        values = {name: getattr(self, name) for name in ("model", "optimizer", "loss", "augment")}
        return {f"train.{name}": value for name, value in values.items() if is_own(value)}

    @property
    def unpublished(self) -> str:
        """That it asks for published weights of a network that is none of timm's, which alone have some; else empty."""
        asks = self.pretrained is True and not self.model.startswith("timm/")
        return f"train.pretrained is true, and no weights of train.model {self.model} are published" if asks else ""

    @property
    def trackers(self) -> dict[str, str]:
        """Where each tracker of `loggers` keeps its runs, by its name; empty where that is left to it."""
        return dict(pair for one in self.loggers for pair in (one.items() if isinstance(one, dict) else [(one, "")]))
