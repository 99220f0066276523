"""Takes down the learning curves while training runs, and lets whoever wants to look on."""

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
# Reading a number from an accelerator makes it wait. A short training has so many points at least.
STEPS, POINTS = 50, 20
# Seconds between two looks at the training.
LIVE = 5.0


class RecordCurves(pl.Callback):
    """Adds to `curves` the mean loss and the learning rate every few steps, and what each validation measured.

    Which steps those are depends on the steps alone, so that a training which was interrupted has the same ones.
    """

    def __init__(self, curves: Curves, schedule: Schedule, *, steps_before: int) -> None:
        """`schedule` begins after so many steps of earlier generations."""
        self._curves, self._schedule, self._before = curves, schedule, steps_before
        self._every = max(1, min(STEPS, schedule.steps // POINTS))
        self._saved: list[float] = []
        self._sum, self._count = torch.zeros(()), 0
        self._shown = -LIVE

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to sum up, or go on where progress was saved."""
        saved = self._saved or [0.0]
        # Progress that was saved by so many processes may be gone on with by another number of them.
        own = saved[trainer.global_rank] if len(saved) == trainer.world_size else sum(saved) / len(saved)
        self._sum = torch.tensor(own, device=pl_module.device)
        self._show(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the loss, and look at the sum if it is time to."""
        del pl_module, batch, batch_idx
        self._sum += outputs["loss"]
        self._count += 1
        if (trainer.global_step - self._before) % self._every == 0:
            self._take(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take down what was measured."""
        del pl_module
        for name in (ACCURACY, LOSS):
            self._curves.add(name, trainer.global_step, float(trainer.callback_metrics[name]))
        self._show(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take down the last steps, however few."""
        del pl_module
        if self._count:
            self._take(trainer)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint) -> None:
        """Add the points so far, and the sum of each device that is none yet."""
        del pl_module
        sums = _of_all(self._sum, trainer).tolist() if self._count else []
        checkpoint[STATE] = {"points": self._curves.points, "sums": sums, "count": self._count}

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint) -> None:
        """Forget what came after it was saved."""
        del trainer, pl_module
        if STATE in checkpoint:  # The start of a generation has none.
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
    """`value`, a single number, of each device, shape (devices,)."""
    gathered: Tensor = trainer.strategy.all_gather(value)
    return gathered.reshape(-1)
