"""What training does besides training: saves its progress, and keeps the best epoch."""

import signal
import sys
import time
from contextlib import ExitStack
from copy import deepcopy
from types import FrameType
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from pipeline.models.checkpoint import Checkpoint, canonical
from pipeline.signals import handled
from pipeline.training.curve_recording import STATE
from pipeline.training.curves import ACCURACY, LOSS
from pipeline.training.progress import Progress
from pipeline.training.rng_state import generator_states, set_generators

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Best = dict[str, Any]
GENERATORS, BEST = "generators", "best"
# With several devices all must agree to stop, and asking at each step would cost.
AGREE_EVERY = 10


class SaveProgress(pl.Callback):
    """Saves everything every few seconds, and when the process is asked to stop, which it then does.

    Never at the last step of an epoch: Lightning would take what follows it, validation say, for done. Stands last
    among the callbacks, so that what the others do in a step is done.
    """

    def __init__(self, progress: Progress, *, every: float) -> None:
        """`every` is in seconds."""
        self._progress, self._every = progress, every
        self._last = time.monotonic()
        self._asked: signal.Signals | None = None
        self._listening = ExitStack()
        self._states: dict[str, Any] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen to signals from now on."""
        del trainer, pl_module
        self._last = time.monotonic()
        self._listening.enter_context(handled(SIGNALS, self._ask))

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave signals to whom they were left before."""
        del trainer, pl_module, stage
        self._listening.close()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Put the generators where they were, at the first step after an interruption."""
        del trainer, pl_module, batch, batch_idx
        if self._states is not None:
            set_generators(self._states)
            self._states = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time to."""
        del pl_module, outputs, batch
        if batch_idx + 1 == trainer.num_training_batches:
            if self._asked is not None and trainer.num_training_batches == 1:
                raise KeyboardInterrupt  # No epoch has a step to save at; there is little to do again.
            return
        is_asked = self._asked is not None
        is_due = time.monotonic() - self._last > self._every
        if trainer.world_size > 1:
            if batch_idx % AGREE_EVERY:
                return
            is_asked, is_due = (
                trainer.strategy.reduce_boolean_decision(decision, all=False) for decision in (is_asked, is_due)
            )
        if is_asked or is_due:
            self._save(trainer)
        if is_asked:
            raise KeyboardInterrupt  # Which Lightning ends in order.

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint) -> None:
        """Add the states of the generators."""
        del trainer, pl_module
        checkpoint[GENERATORS] = generator_states()

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint) -> None:
        """Remember them until the first step."""
        del trainer, pl_module
        self._states = checkpoint.get(GENERATORS)

    def _save(self, trainer: pl.Trainer) -> None:
        if trainer.is_global_zero:
            self._progress.save(trainer.global_step, trainer.save_checkpoint)
        else:
            trainer.save_checkpoint(self._progress.folder)  # Has a part in collecting, writes nothing.
        self._last = time.monotonic()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked is not None:
            signal.default_int_handler(number, frame)  # Asked twice: at once.
        self._asked = signal.Signals(number)
        print("train: saving at the next step, then stopping", file=sys.stderr, flush=True)


class KeepBest(pl.Callback):
    """Remembers the epoch of this generation that is best on the validation images, and stops when none is for long.

    Stands before what averages weights in the list of callbacks, so that it sees the weights that are measured.
    """

    def __init__(self, *, patience: int) -> None:
        """`patience` is in epochs; 0 never stops."""
        self._patience = patience
        self._candidate: dict[str, Any] = {}
        self.best: Best | None = None

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the weights down while they are those that were measured."""
        del trainer
        self._candidate = {name: value.detach().cpu().clone() for name, value in pl_module.state_dict().items()}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare."""
        del pl_module
        score = [float(trainer.callback_metrics[ACCURACY]), -float(trainer.callback_metrics[LOSS])]
        if self.best is None or score > self.best["score"]:
            optimizer = deepcopy(trainer.optimizers[0].state_dict())
            self.best = {
                "epoch": trainer.current_epoch,
                "score": score,
                "state_dict": self._candidate,
                "optimizer_states": [optimizer],
            }
        elif self._patience and trainer.current_epoch - self.best["epoch"] >= self._patience:
            trainer.should_stop = True

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint) -> None:
        """Add the best epoch so far."""
        del trainer, pl_module
        checkpoint[BEST] = self.best

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint) -> None:
        """Go on from it."""
        del trainer, pl_module
        self.best = checkpoint.get(BEST)


def average_weights(decay: float) -> WeightAveraging:
    """Makes the model of an exponential moving average of the weights, of which the first steps' count less.

    As in timm and TensorFlow the decay begins at 0.1, so that a short run does not end near its start.
    """

    def mix(average: Tensor, now: Tensor, count: Tensor | int) -> Tensor:
        return average + (1 - min(decay, (1 + int(count)) / (10 + int(count)))) * (now - average)

    return WeightAveraging(avg_fn=mix)


class MeanWeights(WeightAveraging):
    """Makes the model of the mean of the weights after each step from a `first` one on (arXiv 1803.05407)."""

    def __init__(self, *, first: int) -> None:
        """`first` is counted over all generations."""
        super().__init__(avg_fn=lambda mean, now, count: mean + (now - mean) / (count + 1))
        self._first = first

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Whether to take the weights after step `step_idx` into the mean."""
        del epoch_idx
        return step_idx is not None and step_idx >= self._first


def finished(checkpoint: Checkpoint, best: Best | None) -> Checkpoint:
    """What of the last `checkpoint` belongs into the model, with weights and moments of the `best` epoch if given."""
    ours = (GENERATORS, BEST, STATE, "current_model_state", "averaging_state")
    model = {name: value for name, value in checkpoint.items() if name not in ours}
    if best is not None:
        model |= {name: best[name] for name in ("state_dict", "optimizer_states")}
    return dict(canonical({**model, "callbacks": {}}))
