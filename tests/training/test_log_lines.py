"""Logs get a line per minute with the progress; a terminal shows a bar."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.training.curves import ACCURACY

# Importing Lightning takes seconds: tests import it when they run, and share a worker process.
pytestmark = pytest.mark.xdist_group("lightning")


def lines(steps: int, *, before: int, first: int, seconds: float) -> list[str]:
    """Return the lines of a training of `steps` steps from `first` on, each taking `seconds`."""
    from pipeline.training.log_lines import LogLines

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
    """A line per minute has the step and the remaining time, without steps of earlier generations."""
    assert lines(200, before=50, first=50, seconds=1) == [
        "step 60 of 200, about 2 min left",
        "step 120 of 200, about 80 s left",
        "step 180 of 200, about 20 s left",
    ]


def test_time_left_is_that_of_this_run() -> None:
    """The remaining time is based on the speed of this run only."""
    assert lines(300, before=0, first=100, seconds=2)[0] == "step 130 of 300, about 6 min left"


@pytest.mark.parametrize("seconds", [0.001, 5.9])
def test_short_trainings_say_nothing(seconds: float) -> None:
    """A training of less than a minute prints no line."""
    assert lines(10, before=0, first=0, seconds=seconds) == []


@pytest.mark.parametrize("first", [50, 52])
def test_one_bar_for_all_rounds(capsys: pytest.CaptureFixture[str], first: int) -> None:
    """The bar counts this generation's steps, including those before an interruption, and shows the accuracy."""
    from pipeline.training.log_lines import StepBar

    bar = StepBar(4, before=50)
    trainer: Any = SimpleNamespace(global_step=first, is_global_zero=True, callback_metrics={})
    bar.on_train_start(trainer, trainer)
    for _ in range(first, 54):
        bar.on_train_batch_end(trainer, None, None, None)  # A part of a step.
        trainer.global_step += 1
        bar.on_train_batch_end(trainer, None, None, None)
        bar.on_validation_end(trainer, trainer)
        trainer.callback_metrics = {ACCURACY: 0.875}
    bar.teardown(trainer, trainer, "fit")
    shown = capsys.readouterr().err.split("\r")
    assert f"{first - 50}/4" in shown[1]
    assert "4/4" in shown[-1]
    assert "validation accuracy 87.5 %" in shown[-1]


def test_other_processes_show_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Of several processes one shows the bar."""
    from pipeline.training.log_lines import StepBar

    bar = StepBar(4, before=0)
    trainer: Any = SimpleNamespace(global_step=0, is_global_zero=False, callback_metrics={})
    bar.on_train_start(trainer, trainer)
    bar.on_train_batch_end(trainer, None, None, None)
    bar.on_validation_end(trainer, trainer)
    bar.teardown(trainer, trainer, "fit")
    assert capsys.readouterr().err == ""
