"""How far training is, for people who read a log: a line every minute, where no bar is shown."""

import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl

from pipeline.text import in_words

# Seconds between two lines.
EVERY = 60.0


class LogLines(pl.Callback):
    """Says the step, and about how long the rest will take."""

    def __init__(
        self, steps: int, *, before: int, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`steps` are those of the generation, and `before` those of the ones before it; `say` prints a line."""
        self._steps, self._before, self._say, self._clock = steps, before, say, clock
        self._began = self._said = 0.0
        self._first = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count; a training that continues does not begin at its first step."""
        del pl_module
        self._began = self._said = self._clock()
        self._first = trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Say it, if it is time."""
        now, done = self._clock(), trainer.global_step - self._before
        if now - self._said < EVERY:
            return
        self._said = now
        each = (now - self._began) / max(trainer.global_step - self._first, 1)
        left = in_words(each * max(self._steps - done, 0))
        self._say(f"step {done:,} of {self._steps:,}, about {left} left")
