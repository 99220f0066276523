"""Record the learning curves during training, and write them to data/curves while it runs."""

import time
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from pipeline import paths
from pipeline.models.checkpoint import Checkpoint
from pipeline.training.curves import ACCURACY, LOSS, RATE, TRAINING_LOSS, Curves, show_curves
from pipeline.training.optimizers import Schedule

STATE = "curves"
# Most steps between two points (reading a number synchronises with the device), and fewest points of a short training.
STEPS, POINTS = 50, 20
# Least seconds between two updates of data/curves.
LIVE = 5.0


class RecordCurves(pl.Callback):
    """Adds to `curves` the mean loss and the learning rate every few steps, and the results of each validation.

    The interval depends only on the number of steps, so an interrupted training records the same points.
    """

    def __init__(self, curves: Curves, schedule: Schedule, *, steps_before: int) -> None:
        """`schedule` begins after `steps_before` steps of earlier generations."""
        self._curves, self._schedule, self._before = curves, schedule, steps_before
        self._every = max(1, min(STEPS, schedule.steps // POINTS))
        self._saved: list[float] = []
        self._sum, self._count = torch.zeros(()), 0
        self._shown = -LIVE

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the sum of losses, or resume it from saved progress."""
        saved = self._saved or [0.0]
        # A training may resume with another number of processes than it was saved with.
        own = saved[trainer.global_rank] if len(saved) == trainer.world_size else sum(saved) / len(saved)
        self._sum = torch.tensor(own, device=pl_module.device)
        self._show(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the loss to the sum, and record a point every few steps."""
        del pl_module, batch
        self._sum += outputs["loss"]  # For a part of a step, Lightning divides the loss by the number of parts.
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        self._count += 1
        if (trainer.global_step - self._before) % self._every == 0:
            self._take(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the results of the validation."""
        del pl_module
        for name in (ACCURACY, LOSS):
            self._curves.add(name, trainer.global_step, float(trainer.callback_metrics[name]))
        self._show(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record a point for the remaining steps."""
        del pl_module
        if self._count:
            self._take(trainer)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint) -> None:
        """Add the points so far, and each device's sum of losses since the last point."""
        del pl_module
        sums = _of_all(self._sum, trainer).tolist() if self._count else []
        checkpoint[STATE] = {"points": self._curves.points, "sums": sums, "count": self._count}

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint) -> None:
        """Restore the points and sums of the checkpoint."""
        del trainer, pl_module
        if STATE in checkpoint:  # The initial checkpoint of a warm start has none.
            state = checkpoint[STATE]
            self._curves.points, self._saved, self._count = state["points"], state["sums"], state["count"]

    def _take(self, trainer: pl.Trainer) -> None:
        step, loss = trainer.global_step, _of_all(self._sum, trainer).mean().item() / self._count
        self._curves.add(TRAINING_LOSS, step, loss)
        rate = self._schedule.peak * self._schedule.share_of_peak(step - self._before - 1)
        self._curves.add(RATE, step, rate)
        self._sum, self._count = torch.zeros_like(self._sum), 0
        self._show(trainer)

    def _show(self, trainer: pl.Trainer) -> None:
        now = time.monotonic()
        if trainer.is_global_zero and now - self._shown >= LIVE:
            show_curves(self._curves, paths.CURVES)
            self._shown = now


def _of_all(value: Tensor, trainer: pl.Trainer) -> Tensor:
    """Gather `value`, a single number, from all devices: shape (devices,)."""
    gathered: Tensor = trainer.strategy.all_gather(value)
    return gathered.reshape(-1)
