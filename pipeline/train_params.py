"""The section `train:` of params.yaml."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pipeline.augment_params import Augmentation
from pipeline.param_types import OWN, Loggers, Precision, Section, Seed, Share, as_weights, is_own

# Params of `train:` that change no model; the stage depends on all others in that section.
FREE = {"loggers", "save_every"}


class Train(Section):
    """Params of the training of a generation."""

    model: Annotated[str, Field(pattern=rf"^(small|timm/.+|{OWN})$")]
    """The built-in network `small`, `timm/NAME` (needs the extra `timm`), or your own: `my_project.nets:build`."""
    pretrained: Annotated[bool | str, BeforeValidator(as_weights)]
    """Weights of a cold start: `false` for random, `true` for published (timm models), or a path in data/weights."""
    size: Annotated[int, Field(ge=8, le=1024)]
    """Height and width that the network sees, in pixels; if above `ingest.size`, images are enlarged."""
    epochs: Annotated[int, Field(ge=1)]
    """Passes over the training images in a cold start; a `schedule_free` warm start has at most as many."""
    warm_epochs: Annotated[int, Field(ge=1)]
    """Passes over the training images in a warm start with `optimizer: adamw` or your own, which ignores `passes`."""
    passes: Annotated[float, Field(ge=1)]
    """Images that a warm start draws per new, relabelled or removed image: each new one once, the rest from all."""
    min_steps: Annotated[int, Field(ge=1)]
    """Fewest steps of a `schedule_free` warm start, even if few images are new."""
    balance: Annotated[float, Field(ge=0, le=1)]
    """Weight of rare classes in the loss: 0 gives all images equal weight, 1 gives all classes equal weight."""
    batch_size: Annotated[int, Field(ge=4)]
    """Most images in one step; all steps of a training have nearly the same size."""
    optimizer: Annotated[str, Field(pattern=rf"^(schedule_free|adamw|{OWN})$")]
    """`schedule_free` AdamW with averaged weights, `adamw` with a learning rate that falls to zero, or your own."""
    lr: Annotated[float, Field(gt=0)]
    """Peak learning rate."""
    warm_lr: Annotated[float, Field(gt=0, le=1)]
    """Factor on `lr` in a warm start with `optimizer: adamw` or your own."""
    warmup: Share
    """Share of the steps with a rising learning rate; `schedule_free` warm starts skip this for trained weights."""
    weight_decay: Annotated[float, Field(ge=0)]
    """Decoupled weight decay of AdamW."""
    warm_mean: bool
    """Whether an `adamw` warm start keeps the learning rate at its peak and averages its weights into the model."""
    freeze: Literal["none", "backbone"] | Annotated[int, Field(ge=1)]
    """Layers to freeze: `none`, `backbone` (all but the head), or a number of layer groups, counted from the input."""
    views: Annotated[int, Field(ge=1)]
    """Number of random views per image that a frozen backbone computes features of, if `augment` changes images."""
    head_epochs: Annotated[float, Field(ge=0)]
    """Number of the `epochs` of a cold start, or a fraction of one, in which only the head trains."""
    head_lr: Annotated[float, Field(gt=0)]
    """Factor on the learning rate of the head."""
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    """Factor from the learning rate of a layer group to that of the group before it; 1 for equal learning rates."""
    clip_norm: Annotated[float | None, Field(gt=0)]
    """Limit to which the norm of all gradients of a step together is clipped; null for no clipping."""
    accumulate: Annotated[int, Field(ge=1)]
    """Number of parts in which a step is computed (gradient accumulation); more parts need less memory."""
    framing: Literal["fill", "squash"]
    """How images become square: `fill` covers the square and crops the rest, `squash` distorts and crops nothing."""
    crop_pct: Annotated[float, Field(ge=0.25, le=1)] | Literal["model"]
    """Share of the square's side that the center crop keeps; random crops use all of it. `model`: timm's value."""
    loss: Annotated[str, Field(pattern=rf"^(cross_entropy|{OWN})$")]
    """`cross_entropy`, or your own function that returns the loss of each image: `my_project.losses:focal`."""
    label_smoothing: Share
    """Share of the target that is spread over all classes, for `loss: cross_entropy`."""
    augment: Augmentation
    """Random changes to training images: `none`, `light`, `strong`, settings of docs/augmentation.md, or your own."""
    precision: Precision
    """Number format of the computation; `auto` is `bf16-mixed` on GPUs that support it, otherwise `32-true`."""
    save_every: Annotated[float, Field(gt=0)]
    """Seconds between two saves of the unfinished training; a change does not retrain."""
    loggers: Loggers
    """Experiment trackers (docs/trackers.md): `tensorboard`, `csv`, `mlflow`, `wandb`, `dvclive`; no retraining."""
    compile: bool
    """Whether to use torch.compile, which makes training faster, but its first step slower."""
    deterministic: bool
    """Whether to allow only algorithms that give bit-identical results in every run."""
    seed: Seed
    """Seed of the random weights, orders and augmentations."""

    @property
    def own(self) -> dict[str, str]:
        """The params that name a function of the project's own code as `package.module:function`, by param name."""
        values = {name: getattr(self, name) for name in ("model", "optimizer", "loss", "augment")}
        return {f"train.{name}": value for name, value in values.items() if is_own(value)}

    @property
    def unpublished(self) -> str:
        """The error message if published weights are wanted for a network outside timm, which has none; else empty."""
        asks = self.pretrained is True and not self.model.startswith("timm/")
        return f"train.pretrained is true, and no weights of train.model {self.model} are published" if asks else ""

    @property
    def trackers(self) -> dict[str, str]:
        """Where each tracker in `loggers` stores its runs, by its name; empty for the tracker's default."""
        return dict(pair for one in self.loggers for pair in (one.items() if isinstance(one, dict) else [(one, "")]))
