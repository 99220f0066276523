"""Progress of training: a progress bar in a terminal, otherwise a log line per minute."""

import sys
import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
from tqdm import tqdm

from pipeline.text import in_words, percent
from pipeline.training.curves import ACCURACY

# Seconds between two log lines.
EVERY = 60.0


def display(steps: int, *, before: int, say: Callable[[str], None]) -> pl.Callback:
    """Return the callback that shows the progress of a training of `steps` steps.

    `before` is the number of steps of earlier generations; `say` prints a line.
    """
    return StepBar(steps, before=before) if sys.stderr.isatty() else LogLines(steps, before=before, say=say)


class LogLines(pl.Callback):
    """Prints the current step and an estimate of the remaining time."""

    def __init__(
        self, steps: int, *, before: int, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`steps` is the generation's number of steps, `before` that of all earlier ones; `say` prints a line."""
        self._steps, self._before, self._say, self._clock = steps, before, say, clock
        self._began = self._said = 0.0
        self._first = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock; a resumed training does not begin at its first step."""
        del pl_module
        self._began = self._said = self._clock()
        self._first = trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Print the progress, once per `EVERY` seconds."""
        now, done = self._clock(), trainer.global_step - self._before
        if now - self._said < EVERY:
            return
        self._said = now
        each = (now - self._began) / max(trainer.global_step - self._first, 1)
        left = in_words(each * max(self._steps - done, 0))
        self._say(f"step {done:,} of {self._steps:,}, about {left} left")


class StepBar(pl.Callback):
    """Shows the steps of the generation as one bar, and the latest validation accuracy.

    Lightning's own progress bar shows each epoch separately; its epochs are rounds, counted since the cold start.
    """

    def __init__(self, steps: int, *, before: int) -> None:
        """`steps` is the generation's number of steps, `before` that of all earlier generations."""
        self._steps, self._before = steps, before
        self._bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar, in the first process only."""
        del pl_module
        if trainer.is_global_zero:
            done = trainer.global_step - self._before
            self._bar = tqdm(desc="training", total=self._steps, initial=done, unit=" steps")

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Advance the bar to the current step."""
        if self._bar is not None:
            self._bar.update(trainer.global_step - self._before - self._bar.n)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the validation accuracy."""
        del pl_module
        if self._bar is not None and ACCURACY in trainer.callback_metrics:
            self._bar.set_postfix_str(f"validation accuracy {percent(float(trainer.callback_metrics[ACCURACY]))}")

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Close the bar, and leave it visible."""
        del trainer, pl_module, stage
        if self._bar is not None:
            self._bar.close()
