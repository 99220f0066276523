"""Lightning callbacks: save progress, train the head first, and average weights into the model."""

import signal
import sys
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from types import FrameType
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from pipeline.errors import TrainingError
from pipeline.models.checkpoint import Checkpoint, canonical
from pipeline.models.layers import backbone_weights, freeze_weights
from pipeline.models.network import Network
from pipeline.models.normalisation import estimate_statistics, normalised
from pipeline.signals import handled
from pipeline.training.curve_recording import STATE
from pipeline.training.drawing.sampling import CURSOR, Cursor
from pipeline.training.feeding.prefetching import prefetch
from pipeline.training.optimizers import begin_later
from pipeline.training.progress import Progress
from pipeline.training.rng_state import generator_states, set_generators

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GENERATORS = "generators"
# With several devices, steps between two synchronised decisions to save or stop; each costs communication.
AGREE_EVERY = 10


class SaveProgress(pl.Callback):
    """Saves the training state at regular intervals, and before the process stops on a signal.

    It never saves at the last step of an epoch, since Lightning would then skip what follows, such as validation. It
    must be the last of the callbacks that act on steps, so that the others have finished the step.
    """

    def __init__(self, progress: Progress, *, every: float) -> None:
        """`every` is the interval in seconds."""
        self._progress, self._every = progress, every
        self._last = time.monotonic()
        self._asked: signal.Signals | None = None
        self._listening = ExitStack()
        self._states: dict[str, Any] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Install the signal handlers.

        Raises:
            TrainingError: the processes that train together do not resume from the same step.
        """
        del pl_module
        strategy, step = trainer.strategy, trainer.global_step
        if not strategy.reduce_boolean_decision(strategy.broadcast(step) == step):
            what = f"a process resumes from step {step:,}, and another one from a different step"
            raise TrainingError(self._progress.folder, what, "run `dvc repro` again")
        self._last = time.monotonic()
        self._listening.enter_context(handled(SIGNALS, self._ask))

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Restore the previous signal handlers."""
        del trainer, pl_module, stage
        self._listening.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the previous signal handlers; Lightning does not call `teardown` after an exception."""
        del trainer, pl_module, exception
        self._listening.close()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Restore the random generators at the first step after an interruption."""
        del trainer, pl_module, batch, batch_idx
        if self._states is not None:
            set_generators(self._states)
            self._states = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if the interval has passed; save and stop if a signal was received."""
        del pl_module, outputs, batch
        step, part = divmod(batch_idx + 1, trainer.accumulate_grad_batches)
        if part:
            return  # In the middle of a step.
        steps = int(trainer.num_training_batches) // trainer.accumulate_grad_batches
        if step == steps:
            if self._asked is not None and steps == 1:
                raise KeyboardInterrupt  # Epochs of one step have no step to save at; little work is lost.
            return
        is_asked = self._asked is not None
        is_due = time.monotonic() - self._last > self._every
        if trainer.world_size > 1:
            if (step - 1) % AGREE_EVERY:
                return
            is_asked, is_due = (
                trainer.strategy.reduce_boolean_decision(decision, all=False) for decision in (is_asked, is_due)
            )
        if is_asked or is_due:
            self._save(trainer)
        if is_asked:
            raise KeyboardInterrupt  # Lightning shuts down gracefully on it.

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint) -> None:
        """Add the states of the random generators."""
        del trainer, pl_module
        checkpoint[GENERATORS] = generator_states()

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint) -> None:
        """Keep the states of the random generators until the first step."""
        del trainer, pl_module
        self._states = checkpoint.get(GENERATORS)

    def _save(self, trainer: pl.Trainer) -> None:
        if trainer.is_global_zero:
            self._progress.save(trainer.global_step, trainer.save_checkpoint)
        else:
            trainer.save_checkpoint(self._progress.folder)  # Takes part in collective operations, writes nothing.
        self._last = time.monotonic()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked is not None:
            signal.default_int_handler(number, frame)  # A second signal stops at once.
        self._asked = signal.Signals(number)
        print("train: saving at the next step, then stopping", file=sys.stderr, flush=True)


class HeadFirst(pl.Callback):
    """Trains only the head in the first steps, and then all weights that are not frozen.

    The switch depends only on the step, so an interruption does not change it.
    """

    def __init__(self, network: Network, *, frozen: Collection[str], steps: int) -> None:
        """`frozen` are the names of those weights of `network` that stay frozen after the first `steps` steps."""
        self._network, self._frozen, self._steps = network, frozenset(frozen), steps
        self._backbone = backbone_weights(network, "train.head_epochs")
        self._is_alone: bool | None = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Freeze the backbone at the first step, and unfreeze it after the last step of the head alone."""
        del pl_module, batch, batch_idx
        is_alone = trainer.global_step < self._steps
        if is_alone != self._is_alone:
            freeze_weights(self._network, self._frozen | self._backbone if is_alone else self._frozen)
            self._is_alone = is_alone
        if trainer.global_step == self._steps:
            weights = dict(self._network.named_parameters())
            begin_later(trainer.optimizers[0], [weights[name] for name in self._backbone - self._frozen])


class AveragedWeights(pl.Callback):
    """Validates the averaged weights of the schedule-free optimizer, and makes them the model at the end of training.

    After a validation, training continues with the raw weights, which are restored bit for bit.
    """

    def __init__(self, network: Network, sample: Callable[[], Iterable[Tensor]]) -> None:
        """`sample` returns the batches of images for estimating the normalisation statistics of `network`."""
        self._network, self._sample = network, sample
        self._raw: dict[str, Tensor] = {}

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Replace the raw weights by the averaged ones."""
        self._raw = {name: value.clone() for name, value in pl_module.state_dict().items()}
        self._average(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the raw weights from a copy, since the optimizer's own conversion is not exact."""
        pl_module.load_state_dict(self._raw)
        for group in trainer.optimizers[0].param_groups:
            group["train_mode"] = True
        self._raw = {}

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Replace the raw weights by the averaged ones, which are the model."""
        self._average(trainer, pl_module)

    def _average(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        optimizer: Any = trainer.optimizers[0]
        optimizer.eval()
        if normalised(self._network):
            with trainer.precision_plugin.forward_context():
                estimate_statistics(self._network, prefetch(self._sample(), pl_module.device))


class MeanWeights(WeightAveraging):
    """Makes the model the mean of the weights after each step from step `first` on (arXiv 1803.05407)."""

    def __init__(self, *, first: int) -> None:
        """`first` is a step counted over all generations."""
        super().__init__(avg_fn=lambda mean, now, count: mean + (now - mean) / (count + 1))
        self._first = first

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Whether to include the weights after step `step_idx` in the mean."""
        del epoch_idx
        return step_idx is not None and step_idx >= self._first


def finished(checkpoint: Checkpoint, cursor: Cursor) -> Checkpoint:
    """Return the model's checkpoint: the last `checkpoint` without state of callbacks, and with the `cursor`."""
    ours = (GENERATORS, STATE, "current_model_state", "averaging_state")
    model = {name: value for name, value in checkpoint.items() if name not in ours}
    return dict(canonical({**model, "callbacks": {}, CURSOR: list(cursor)}))
