"""What Lightning trains: a network with its loss."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics import MeanMetric

from pipeline.errors import TrainingError
from pipeline.models.checkpoint import SPEC
from pipeline.models.features import head_of
from pipeline.models.network import Network, Spec
from pipeline.params import Train
from pipeline.paths import PARAMS
from pipeline.training.curves import ACCURACY, LOSS
from pipeline.training.loader import Batch
from pipeline.training.optimizers import Schedule, optimizer_of

HINT = f"lower train.lr in {PARAMS}; the model is as it was"


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
        weights, smoothing = self.get_buffer("class_weights"), self._params.label_smoothing
        logits = self._logits(batch)
        if batch.mixture is None and batch.weights is None:
            return cross_entropy(logits, batch.targets, weights, label_smoothing=smoothing)
        of_images = torch.ones_like(logits[:, 0]) if batch.weights is None else batch.weights
        parts = [(torch.arange(len(logits), device=logits.device), torch.ones_like(of_images))]
        if batch.mixture:
            partners, own = batch.mixture
            parts = [(parts[0][0], own), (partners, 1 - own)]
        losses, counted = [], []
        for images, share in parts:
            targets = batch.targets[images]
            loss = cross_entropy(logits, targets, weights, reduction="none", label_smoothing=smoothing)
            losses.append((share * of_images[images] * loss).sum())
            counted.append((share * weights[targets]).sum())
        return torch.stack(losses).sum() / torch.stack(counted).sum()

    def _logits(self, batch: Batch) -> Tensor:
        """Of the images, or by the head alone of their features: shape (n, classes), float32."""
        if batch.images.ndim > 2:
            logits: Tensor = self.network(batch.images)
            return logits
        of_features: Tensor = head_of(self.network)(batch.images)
        return of_features.float()

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
        logits = self._logits(batch)
        self._right.update((logits.argmax(1) == batch.targets).float())
        self._validation_loss.update(cross_entropy(logits, batch.targets, reduction="none"))
        self.log_dict({ACCURACY: self._right, LOSS: self._validation_loss}, on_epoch=True)

    def configure_optimizers(self) -> Any:
        """The optimizer, with a learning rate that is this generation's own, and its schedule if it has one."""
        return optimizer_of(self.named_parameters(), self._params, self._schedule)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what network the checkpoint is of."""
        checkpoint[SPEC] = self.spec.model_dump(mode="json")


def class_weights(images: Tensor, balance: float) -> Tensor:
    """What an image of each class weighs in the loss, shape (classes,), float32; 1 on average over the images.

    A class of which there are n images has the weight n ** −balance, up to a constant; one without images has 0. Where
    images count more or less than once, n is the sum of that.
    """
    weights = torch.where(images > 0, images.double().clamp(min=torch.finfo().tiny) ** -balance, 0.0)
    return (weights * images.sum() / (weights * images).sum()).float()
