"""What Lightning trains: a network with its loss, optimizer and learning-rate schedule."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from pipeline.checkpoint import SPEC
from pipeline.errors import TrainingError
from pipeline.loader import Batch
from pipeline.model import Network, Spec
from pipeline.params import Train
from pipeline.paths import PARAMS

MEND = f"lower train.lr in {PARAMS}; the model is as it was"


class Classifier(pl.LightningModule):
    """Trains `network` for one generation of `steps` steps."""

    def __init__(self, network: Network, spec: Spec, params: Train, *, steps: int, peak: float) -> None:
        """`peak` is the highest learning rate."""
        super().__init__()
        self.network, self.spec = network, spec
        self._params, self._steps, self._peak = params, steps, peak
        self._loss = nn.CrossEntropyLoss(label_smoothing=params.label_smoothing)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of `batch`."""
        loss: Tensor = self._loss(self.network(batch.images), batch.targets)
        # Reading a number from an accelerator makes it wait, so not at every step; `check` looks once more at the end.
        if batch_idx % 50 == 0 and not torch.isfinite(loss):
            raise TrainingError(f"epoch {self.current_epoch}, batch {batch_idx}", f"the loss is {loss.item()}", MEND)
        return loss

    def check(self) -> None:
        """Look whether what was trained is of use.

        Raises:
            TrainingError: a weight is not finite.
        """
        for name, weight in self.network.state_dict().items():
            if not torch.isfinite(weight).all():
                raise TrainingError(f"step {self.global_step}", f"weights in {name} are not finite", MEND)

    def validation_step(self, batch: Batch) -> None:
        """Log the share of `batch` that is classified right."""
        right = (self.network(batch.images).argmax(1) == batch.targets).float().mean()
        self.log("val_accuracy", right, prog_bar=True, batch_size=len(batch.targets))

    def configure_optimizers(self) -> Any:
        """AdamW with a learning rate that rises, then falls to zero, both linearly, within this generation."""
        named = [(name, weight) for name, weight in self.named_parameters() if weight.requires_grad]
        # Weight decay is for matrices and filters, not for biases and the scales of normalisation.
        groups = [
            {"params": [pair for pair in named if pair[1].ndim >= 2], "weight_decay": self._params.weight_decay},
            {"params": [pair for pair in named if pair[1].ndim < 2], "weight_decay": 0.0},
        ]
        optimizer = AdamW([group for group in groups if group["params"]], lr=self._peak)
        schedule = LambdaLR(optimizer, self._share_of_peak)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what network the checkpoint is of."""
        checkpoint[SPEC] = self.spec.model_dump(mode="json")

    def _share_of_peak(self, step: int) -> float:
        rise = round(self._params.warmup * self._steps)
        if step < rise:
            return (step + 1) / rise
        return max(0.0, (self._steps - step) / (self._steps - rise))
