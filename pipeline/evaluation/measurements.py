"""The contents of predictions.csv, metrics.json and details.json, from a model's and its base's test predictions."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from pipeline.evaluation.metrics import by_class, figures, flips, on_slices, predictions_of
from pipeline.evaluation.transfer import over_generations
from pipeline.lineage.ancestors import Past, recorded_metrics
from pipeline.lineage.lineage import Lineage, Recorded
from pipeline.lineage.recorded_metrics import ChangeFigures, Measurements, Metrics


class Findings(NamedTuple):
    """All results of evaluate."""

    predictions: pd.DataFrame
    """The rows of predictions.csv, one for each image; without the base's columns if there is no base."""
    metrics: Metrics
    bins: pd.DataFrame
    """The model's accuracy by confidence: see `calibration.reliability`."""
    recorded: Recorded
    past: list[Past]
    """The earlier generations, oldest first."""
    curves: Mapping[str, Sequence[tuple[int, float]]]
    """The training curves of all generations, by name: pairs of step and value."""


def side_by_side(test: pd.DataFrame, model: pd.DataFrame, base: pd.DataFrame | None) -> pd.DataFrame:
    """Return the rows of predictions.csv: each image of `test` with the predictions of the model and of any base.

    `model` and `base` are their probabilities: one row for each image, one column for each class.
    """
    columns = [test[["id", "label"]], predictions_of(test["label"], model)]
    if base is not None:
        columns.append(predictions_of(test["label"], base).add_prefix("base_"))
    return pd.concat(columns, axis="columns")


def measure(
    predictions: pd.DataFrame,
    slices: pd.DataFrame,
    lineage: Lineage,
    model: pd.DataFrame,
    base: pd.DataFrame | None,
) -> Measurements:
    """Return the metrics of `predictions` by the probabilities `model` and `base`; the field `change` is left None."""
    return {
        **figures(predictions["label"], model),
        "validation": lineage.validation,
        "base": None if base is None else figures(predictions["label"], base),
        "change": None,
        "classes": by_class(predictions, list(model.columns)),
        "slices": on_slices(predictions, slices, lineage.generation),
    }


def change(predictions: pd.DataFrame, metrics: Measurements, generation: int, past: list[Past]) -> ChangeFigures:
    """Compare `metrics`, of the model of `generation`, with those of its base and of the earlier generations `past`."""
    over, flipped = over_generations(metrics, generation, recorded_metrics(past)), flips(predictions)
    now, before = metrics["accuracy"], metrics["base"] and metrics["base"]["accuracy"]
    return ChangeFigures(
        accuracy=None if now is None or before is None else now - before,
        forgetting=over["forgetting"],
        negative_flips=flipped["negative_flips"],
        positive_flips=flipped["positive_flips"],
        backward_transfer=over["backward_transfer"],
        forward_transfer=over["forward_transfer"],
    )
