"""What Lightning trains: a network with its loss, optimizer and learning-rate schedule."""

from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from schedulefree import AdamWScheduleFree
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MeanMetric

from pipeline.errors import ParamError, TrainingError
from pipeline.models.checkpoint import SPEC
from pipeline.models.imported import explained
from pipeline.models.network import Network, Spec
from pipeline.param_types import is_own
from pipeline.params import Train
from pipeline.paths import PARAMS
from pipeline.training.curves import ACCURACY, LOSS
from pipeline.training.loader import Batch
from pipeline.training.own_code import KIND, kind_of, losses_of, optimizer_of

HINT = f"lower train.lr in {PARAMS}; the model is as it was"


class Schedule(NamedTuple):
    """The learning rate of one generation: it rises to its peak, and stays there or falls to zero; both linearly."""

    steps: int
    peak: float
    rise: int
    """Steps until the peak."""
    stays: bool = False
    """Whether it stays at the peak instead."""

    def share_of_peak(self, step: int) -> float:
        """The learning rate at `step`, counted from 0."""
        if step < self.rise:
            return (step + 1) / self.rise
        return 1.0 if self.stays else max(0.0, (self.steps - step) / (self.steps - self.rise))


def schedule_of(params: Train, steps: int, *, warm: bool) -> Schedule:
    """The schedule of a generation of so many steps."""
    rise = min(round(params.warmup * steps), steps - 1)
    if params.optimizer == "schedule_free":
        return Schedule(steps, params.lr, 0 if warm else rise, stays=True)
    if not warm:
        return Schedule(steps, params.lr, rise)
    return Schedule(steps, params.warm_lr * params.lr, rise, stays=becomes_mean(params))


def becomes_mean(params: Train) -> bool:
    """Whether a warm start becomes the mean of its weights."""
    return params.optimizer == "adamw" and params.warm_mean


class Classifier(pl.LightningModule):
    """Trains `network` for one generation."""

    def __init__(self, network: Network, spec: Spec, params: Train, schedule: Schedule, images: Tensor) -> None:
        """`images` says how many there are to train on of each class, weighted as they are, shape (classes,)."""
        super().__init__()
        self.network, self.spec = network, spec
        self._params, self._schedule = params, schedule
        self._right, self._validation_loss = (MeanMetric(nan_strategy="disable") for _ in range(2))
        # Not persistent, since it follows from the images of each generation.
        self.register_buffer("class_weights", class_weights(images, params.balance), persistent=False)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of `batch`."""
        loss = self._loss(batch) * batch.share
        # Reading a number from an accelerator makes it wait, so not at every step; `check` looks once more at the end.
        if batch_idx % 50 == 0 and not torch.isfinite(loss):
            raise TrainingError(f"epoch {self.current_epoch}, batch {batch_idx}", f"the loss is {loss.item()}", HINT)
        return loss

    def _loss(self, batch: Batch) -> Tensor:
        """The mean over its images, weighted by their classes; the loss of each is multiplied by its own weight.

        What is in an image besides itself counts as far as it is in it.
        """
        weights, smoothing, own = self.get_buffer("class_weights"), self._params.label_smoothing, self._params.loss
        logits = self._logits(batch.images)
        if batch.mixture is None and batch.weights is None and not is_own(own):
            return cross_entropy(logits, batch.targets, weights, label_smoothing=smoothing)
        of_images = torch.ones_like(logits[:, 0]) if batch.weights is None else batch.weights
        parts = [(torch.arange(len(logits)), torch.ones_like(of_images))]
        if batch.mixture:
            partners, kept = batch.mixture
            parts = [(parts[0][0], kept), (partners, 1 - kept)]
        losses, counted = [], []
        for images, share in parts:
            targets = batch.targets[images]
            if is_own(own):
                loss = weights[targets] * losses_of(own, logits, targets)
            else:
                loss = cross_entropy(logits, targets, weights, reduction="none", label_smoothing=smoothing)
            losses.append((share * of_images[images] * loss).sum())
            counted.append((share * weights[targets]).sum())
        return torch.stack(losses).sum() / torch.stack(counted).sum()

    def _logits(self, images: Tensor) -> Tensor:
        """Of shape (n, classes); a network of the project's own is held to it."""
        name = self.spec.model
        if not is_own(name):
            return self.network(images)  # type: ignore[no-any-return]
        with explained(name):
            logits: Tensor = self.network(images)
        if logits.shape != (len(images), len(self.spec.classes)):
            what = f"for {len(images)} images it gives {tuple(logits.shape)}, and not a logit for each class"
            raise ParamError(name, what, "let its last layer have `classes` outputs, whatever the images")
        return logits

    def check(self) -> None:
        """Look whether what was trained is of use.

        Raises:
            TrainingError: a weight is not finite.
        """
        for name, weight in self.network.state_dict().items():
            if not torch.isfinite(weight).all():
                raise TrainingError(f"step {self.global_step}", f"weights in {name} are not finite", HINT)

    def validation_step(self, batch: Batch) -> None:
        """Log the share of images that is classified right, and the loss, over all batches."""
        if not len(batch.targets):
            return  # This device's part of a small batch.
        logits = self._logits(batch.images)
        self._right.update((logits.argmax(1) == batch.targets).float())
        self._validation_loss.update(cross_entropy(logits, batch.targets, reduction="none"))
        self.log_dict({ACCURACY: self._right, LOSS: self._validation_loss}, on_epoch=True)

    def configure_optimizers(self) -> Any:
        """The optimizer, with a learning rate that is this generation's own, and its schedule if it has one."""
        named = [(name, weight) for name, weight in self.named_parameters() if weight.requires_grad]
        # Weight decay is for matrices and filters, not for biases and the scales of normalisation.
        groups = [
            {"params": [pair for pair in named if pair[1].ndim >= 2], "weight_decay": self._params.weight_decay},
            {"params": [pair for pair in named if pair[1].ndim < 2], "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        if self._params.optimizer != "schedule_free":
            scheduled = self._scheduled(groups)
            schedule = LambdaLR(scheduled, self._schedule.share_of_peak)
            return {"optimizer": scheduled, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
        # Defazio et al., arXiv 2405.15682. The network holds the weights that gradients are of, until `eval`.
        optimizer = AdamWScheduleFree(groups, lr=self._schedule.peak, warmup_steps=self._schedule.rise)
        optimizer.train()
        return {"optimizer": optimizer}

    def _scheduled(self, groups: list[dict[str, Any]]) -> Optimizer:
        name, rate = self._params.optimizer, self._schedule.peak
        if is_own(name):
            return optimizer_of(name, groups, lr=rate, weight_decay=self._params.weight_decay)
        return AdamW(groups, lr=rate)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what network the checkpoint is of, and which optimizer where that is the project's own."""
        checkpoint[SPEC] = self.spec.model_dump(mode="json")
        if is_own(self._params.optimizer):
            checkpoint[KIND] = kind_of(self._params.optimizer, self.trainer.optimizers[0])


def class_weights(images: Tensor, balance: float) -> Tensor:
    """What an image of each class weighs in the loss, shape (classes,), float32; 1 on average over the images.

    A class of which there are n images has the weight n ** −balance, up to a constant; one without images has 0. Where
    images count more or less than once, n is the sum of that.
    """
    weights = torch.where(images > 0, images.double().clamp(min=torch.finfo().tiny) ** -balance, 0.0)
    return (weights * images.sum() / (weights * images).sum()).float()
