"""Who reads a log hears how far training is, once a minute."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.training.log_lines import EVERY, LogLines


def lines(steps: int, *, before: int, first: int, seconds: float) -> list[str]:
    """What is said of a training of `steps` steps from `first` on that take so many `seconds` each."""
    said: list[str] = []
    now = 1000.0
    callback = LogLines(steps, before=before, say=said.append, clock=lambda: now)
    trainer: Any = SimpleNamespace(global_step=first)
    callback.on_train_start(trainer, trainer)
    while trainer.global_step < before + steps:
        trainer.global_step += 1
        now += seconds
        callback.on_train_batch_end(trainer, None, None, None)
    return said


def test_a_line_a_minute() -> None:
    """Step and time left, once a minute; the steps of earlier generations are not counted."""
    assert lines(200, before=50, first=50, seconds=1) == [
        "step 60 of 200, about 2 min left",
        "step 120 of 200, about 80 s left",
        "step 180 of 200, about 20 s left",
    ]


def test_time_left_is_that_of_this_run() -> None:
    """A training that continues at step 100 is as fast as it is now, not as if all steps had been done now."""
    assert lines(300, before=0, first=100, seconds=2)[0] == "step 130 of 300, about 6 min left"


@pytest.mark.parametrize("seconds", [0.001, (EVERY - 1) / 10])
def test_short_trainings_say_nothing(seconds: float) -> None:
    """What takes less than a minute needs no line."""
    assert lines(10, before=0, first=0, seconds=seconds) == []
