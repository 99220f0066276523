"""What training does beside training, on its own; tests/scenarios/test_continue.py holds it to the contract."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

if TYPE_CHECKING:
    from pipeline.training.callbacks import KeepBest


# Lightning takes seconds to import: here only when a test runs, and all on one core.
pytestmark = [
    pytest.mark.xdist_group("lightning"),
    pytest.mark.filterwarnings(r"ignore:::lightning\..*"),
]


def validated(keep_best: "KeepBest", scores: list[tuple[float, float]]) -> int:
    """Let so many epochs end with these accuracies and losses, or fewer if it stops; returns how many there were."""
    module = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for epoch, (accuracy, loss) in enumerate(scores):
        nn.init.constant_(module.weight, epoch)
        optimizer.param_groups[0]["lr"] = epoch
        metrics = {"val_accuracy": torch.tensor(accuracy), "val_loss": torch.tensor(loss)}
        trainer: Any = SimpleNamespace(
            callback_metrics=metrics, current_epoch=epoch, optimizers=[optimizer], should_stop=False
        )
        keep_best.on_validation_epoch_end(trainer, module)  # type: ignore[arg-type]
        keep_best.on_validation_end(trainer, module)  # type: ignore[arg-type]
        if trainer.should_stop:
            return epoch + 1
    return len(scores)


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([(0.5, 1.0), (0.7, 1.0), (0.6, 0.1)], 1),
        ([(0.5, 1.0), (0.5, 0.9), (0.5, 0.95)], 1),  # Equal accuracy: the smaller loss.
        ([(0.5, 1.0), (0.5, 1.0)], 0),  # Equal in both: the first.
        ([(0.1, 1.0), (0.2, 2.0), (0.3, 3.0)], 2),
    ],
)
def test_best_epoch(scores: list[tuple[float, float]], best: int) -> None:
    """The most accurate one, with its own weights and optimizer, whatever came after it."""
    from pipeline.training.callbacks import KeepBest

    keep_best = KeepBest(patience=0)
    assert validated(keep_best, scores) == len(scores)
    assert keep_best.best is not None
    assert keep_best.best["epoch"] == best
    assert keep_best.best["state_dict"]["weight"].item() == best
    assert keep_best.best["optimizer_states"][0]["param_groups"][0]["lr"] == best


@pytest.mark.parametrize(("patience", "epochs"), [(1, 3), (2, 6), (3, 7), (0, 8)])
def test_patience(patience: int, epochs: int) -> None:
    """It stops after so many epochs in a row that were not better than the best."""
    from pipeline.training.callbacks import KeepBest

    accuracies = [0.1, 0.2, 0.15, 0.3, 0.3, 0.25, 0.2, 0.1]
    assert validated(KeepBest(patience=patience), [(accuracy, 1.0) for accuracy in accuracies]) == epochs


def test_average_worked_by_hand() -> None:
    """The decay grows from 2/11 with the steps, up to the one asked for."""
    from pipeline.training.callbacks import average_weights

    mix = average_weights(0.5)._kwargs["avg_fn"]
    averages = [mix(torch.tensor(1.0), torch.tensor(2.0), count) for count in (1, 7, 8, 9, 1000)]
    decays = [2 / 11, 8 / 17, 0.5, 0.5, 0.5]
    assert [float(average) for average in averages] == pytest.approx([2 - decay for decay in decays])


def test_mean_worked_by_hand() -> None:
    """All weights from the first step on count the same."""
    from pipeline.training.callbacks import MeanWeights

    module = nn.Linear(1, 1, bias=False)
    callback, weights = MeanWeights(first=102), {100: 50.0, 101: 60.0, 102: 1.0, 103: 2.0, 104: 6.0}
    callback._average_model = torch.optim.swa_utils.AveragedModel(module, **callback._kwargs)
    for step, weight in weights.items():
        nn.init.constant_(module.weight, weight)
        trainer: Any = SimpleNamespace(global_step=step + 1)
        callback.on_train_batch_end(trainer, module, None, None, 0)  # type: ignore[arg-type]
    assert callback._average_model.module.get_parameter("weight").item() == pytest.approx(3.0)


def test_finished_is_the_best_epoch() -> None:
    """Its weights and moments, with the counters of the last; nothing that only an unfinished training needs."""
    from pipeline.training.callbacks import finished

    last = {
        "state_dict": {"weight": torch.zeros(1)},
        "optimizer_states": [{"state": 0}],
        "epoch": 5,
        "generators": {},
        "best": {},
        "current_model_state": {},
        "averaging_state": {},
        "callbacks": {"some": "state"},
    }
    best = {"state_dict": {"weight": torch.ones(1)}, "optimizer_states": [{"state": 1}], "epoch": 2, "score": [1, 0]}
    model = finished(last, best)
    assert model == {**best_part(best), "epoch": 5, "callbacks": {}}
    assert finished(last, None)["state_dict"]["weight"] == 0


def best_part(best: dict[str, Any]) -> dict[str, Any]:
    """What a model takes of its best epoch."""
    return {name: best[name] for name in ("state_dict", "optimizer_states")}
