"""The Lightning module: a network with its loss."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics import MeanMetric

from pipeline.errors import ParamError, TrainingError
from pipeline.models.checkpoint import SPEC
from pipeline.models.features import head_of
from pipeline.models.imported import explained
from pipeline.models.network import Network, Spec
from pipeline.param_types import is_own
from pipeline.paths import PARAMS
from pipeline.train_params import Train
from pipeline.training.curves import ACCURACY, LOSS
from pipeline.training.feeding.batches import Batch, class_weights
from pipeline.training.optimizers import Schedule, optimizer_of
from pipeline.training.own_code import KIND, kind_of, losses_of

HINT = f"lower train.lr in {PARAMS}; the model is unchanged"


class Classifier(pl.LightningModule):
    """Lightning module that trains `network` for one generation."""

    def __init__(self, network: Network, spec: Spec, params: Train, schedule: Schedule, images: Tensor) -> None:
        """`images` is the number of training images of each class, each counted by its weight, shape (classes,)."""
        super().__init__()
        self.network, self.spec = network, spec
        self._params, self._schedule = params, schedule
        self._right, self._validation_loss = (MeanMetric(nan_strategy="disable") for _ in range(2))
        # Not persistent, since it follows from the images of each generation.
        self.register_buffer("class_weights", class_weights(images, params.balance), persistent=False)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of `batch`, which may be a part of a step."""
        if not len(batch.images):
            return self._nothing()
        loss = self._loss(batch) * batch.share
        step, _ = divmod(batch_idx, self._params.accumulate)
        # Not at every step, since reading a number synchronises with the device; `check` runs once more at the end.
        if step % 50 == 0 and not torch.isfinite(loss):
            raise TrainingError(f"epoch {self.current_epoch}, batch {step}", f"the loss is {loss.item()}", HINT)
        return loss

    def _nothing(self) -> Tensor:
        """Return a zero loss for no images that involves all trainable weights, as distributed training requires."""
        trained = [weight.sum() for weight in self.network.parameters() if weight.requires_grad]
        return torch.stack(trained).sum() * 0

    def _loss(self, batch: Batch) -> Tensor:
        """Return the mean loss over the images, weighted by class; each image's loss is multiplied by its own weight.

        For mixed images, the losses of both images count by their shares.
        """
        weights, smoothing, own = self.get_buffer("class_weights"), self._params.label_smoothing, self._params.loss
        logits = self._logits(batch.images)
        if batch.other is None and batch.weights is None and not is_own(own):
            return cross_entropy(logits, batch.targets, weights, label_smoothing=smoothing)
        ones = torch.ones_like(logits[:, 0])
        parts = [(batch.targets, ones, batch.weights)]
        if batch.other:
            targets, kept, of_others = batch.other
            parts = [(batch.targets, kept, batch.weights), (targets, 1 - kept, of_others)]
        losses, sums = [], []
        for targets, share, of_images in parts:
            if is_own(own):
                loss = weights[targets] * losses_of(own, logits, targets)
            else:
                loss = cross_entropy(logits, targets, weights, reduction="none", label_smoothing=smoothing)
            losses.append((share * (ones if of_images is None else of_images) * loss).sum())
            sums.append((share * weights[targets]).sum())
        return torch.stack(losses).sum() / torch.stack(sums).sum()

    def _logits(self, images: Tensor) -> Tensor:
        """Return the logits of `images`, or of features by the head alone: shape (n, classes), float32.

        Raises:
            ParamError: a network of the project's own code fails, or returns another shape.
        """
        name = self.spec.model
        if images.ndim == 2:
            head = head_of(self.network)
            assert head is not None, "features are those of a head"
            of_features: Tensor = head(images)
            return of_features.float()
        if not is_own(name):
            return self.network(images)  # type: ignore[no-any-return]
        with explained(name):
            logits: Tensor = self.network(images)
        if logits.shape != (len(images), len(self.spec.classes)):
            what = f"for {len(images)} images it returns {tuple(logits.shape)} instead of a logit for each class"
            raise ParamError(name, what, "give its last layer `classes` outputs, for any number of images")
        return logits

    def check(self) -> None:
        """Check the trained weights.

        Raises:
            TrainingError: a weight is not finite.
        """
        for name, weight in self.network.state_dict().items():
            if not torch.isfinite(weight).all():
                raise TrainingError(f"step {self.global_step}", f"weights in {name} are not finite", HINT)

    def validation_step(self, batch: Batch) -> None:
        """Log accuracy and loss over all batches."""
        if not len(batch.targets):
            return  # A small batch may leave no image for this device.
        logits = self._logits(batch.images)
        self._right.update((logits.argmax(1) == batch.targets).float())
        self._validation_loss.update(cross_entropy(logits, batch.targets, reduction="none"))
        self.log_dict({ACCURACY: self._right, LOSS: self._validation_loss}, on_epoch=True)

    def configure_optimizers(self) -> Any:
        """Return the optimizer with this generation's learning rate, and its schedule if it has one."""
        return optimizer_of(self.network, self._params, self._schedule)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the spec of the network, and the kind of optimizer if it is the project's own."""
        checkpoint[SPEC] = self.spec.as_kept()
        if is_own(self._params.optimizer):
            checkpoint[KIND] = kind_of(self._params.optimizer, self.trainer.optimizers[0])
