"""What predictions.csv, metrics.json and details.json say, from what a model and its base make of the test images."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from pipeline.evaluation.metrics import by_class, figures, flips, on_slices, predictions_of
from pipeline.evaluation.transfer import over_generations
from pipeline.lineage.ancestors import Past, recorded_metrics
from pipeline.lineage.lineage import Lineage, Recorded
from pipeline.lineage.recorded_metrics import ChangeFigures, Measurements, Metrics


class Findings(NamedTuple):
    """All that evaluate finds out."""

    predictions: pd.DataFrame
    """What predictions.csv holds, a row an image; without the columns of the base where there is none."""
    metrics: Metrics
    bins: pd.DataFrame
    """How often the model is right when it is how sure: see `calibration.reliability`."""
    recorded: Recorded
    past: list[Past]
    """The generations before, oldest first."""
    curves: Mapping[str, Sequence[tuple[int, float]]]
    """Of all generations: what was measured while training ran, by step, by the name of the curve."""


def side_by_side(test: pd.DataFrame, model: pd.DataFrame, base: pd.DataFrame | None) -> pd.DataFrame:
    """A row for each image of `test`: what it is, what the model takes it for, and the base, if there is one.

    `model` and `base` are the probabilities that they give: a row an image, a column a class.
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
    """What is measured of `predictions`, which are those of `model` and `base`; without what has changed."""
    return {
        **figures(predictions["label"], model),
        "validation": lineage.validation,
        "base": None if base is None else figures(predictions["label"], base),
        "change": None,
        "classes": by_class(predictions, list(model.columns)),
        "slices": on_slices(predictions, slices, lineage.generation),
    }


def change(predictions: pd.DataFrame, metrics: Measurements, generation: int, past: list[Past]) -> ChangeFigures:
    """What `metrics`, of the model of `generation`, say against the base's, and against all of the `past`."""
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
