"""Metrics of a model's predictions: pure functions, each with its definition and the source of that.

scikit-learn computes the metrics that it has. A metric is None if there is nothing to measure. If several classes have
the same probability, a model predicts the first of them in its own order of classes.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, log_loss, precision_recall_fscore_support

from pipeline.evaluation.calibration import calibration_error
from pipeline.lineage.recorded_metrics import ClassFigures, Figures, FlipFigures, SliceFigures

FIGURES, OF_CLASS = tuple(Figures.__annotations__), tuple(ClassFigures.__annotations__)
CONFIDENCE = 0.95
# Most slices of one column of labels.csv; a column of names or dates would have a slice for each image.
MOST = 100
# Names of the slices of images without a value, and with a value that is too rare for its own slice.
BLANK, REST = "(none)", "(other)"
NOTHING = Figures(
    accuracy=None,
    accuracy_low=None,
    accuracy_high=None,
    balanced_accuracy=None,
    macro_f1=None,
    loss=None,
    calibration_error=None,
    support=0,
)


def predictions_of(labels: "pd.Series[str]", probabilities: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each image with the columns predicted, confidence and probability.

    They are the predicted class, its probability, and the probability of the correct class (0 if the model does not
    know that class).
    """
    shares, images = probabilities.to_numpy(), np.arange(len(labels))
    best = shares.argmax(axis=1) if len(labels) else images
    right = probabilities.columns.get_indexer(pd.Index(labels))
    return pd.DataFrame(
        {
            "predicted": pd.Series(probabilities.columns.to_numpy()[best], dtype=str),
            "confidence": shares[images, best],
            "probability": np.where(right < 0, 0.0, shares[images, right]),
        }
    )


def figures(labels: "pd.Series[str]", probabilities: pd.DataFrame) -> Figures:
    """Return the scalar metrics `FIGURES` of a model, from the `labels` of images and its `probabilities`.

    - accuracy: the share of correctly classified images, with the ends of its confidence interval, see `interval`;
    - balanced_accuracy: the mean recall of the classes that occur in `labels`;
    - macro_f1: the mean F1 of the same classes;
    - loss: log loss, the mean of −log p of the correct class. A class that the model does not know has p = 0, which
      scikit-learn clips to the machine epsilon, 2e-16;
    - calibration_error: see calibration.py;
    - support: the number of images.
    """
    if not len(labels):
        return NOTHING
    classes = pd.Index(sorted({*labels, *probabilities.columns}))
    everything = probabilities.reindex(columns=classes, fill_value=0.0).to_numpy()
    # As numbers, with which scikit-learn is ten times faster.
    predictions = predictions_of(labels, probabilities)
    actual, predicted = (classes.get_indexer(pd.Index(names)) for names in (labels, predictions["predicted"]))
    right = actual == predicted
    _, recall, f1, _ = precision_recall_fscore_support(
        actual, predicted, labels=np.unique(actual), average="macro", zero_division=0
    )
    low, high = interval(int(right.sum()), len(labels))
    # With a single class the loss is 0; scikit-learn does not accept that case.
    loss = log_loss(actual, everything, labels=np.arange(len(classes))) if len(classes) > 1 else 0.0
    return Figures(
        accuracy=float(accuracy_score(actual, predicted)),
        accuracy_low=low,
        accuracy_high=high,
        balanced_accuracy=float(recall),
        macro_f1=float(f1),
        loss=float(loss),
        calibration_error=float(calibration_error(right, predictions["confidence"].to_numpy())),
        support=len(labels),
    )


def interval(right: int, count: int) -> tuple[float, float]:
    """Return the ends of Wilson's 95 % interval of the accuracy of a model that is right on `right` of `count` images.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference". It stays between 0 and 1, and
    has a positive width even if a model is right on all images, or on none.
    """
    ends = binomtest(right, count).proportion_ci(CONFIDENCE, method="wilson")
    return float(ends.low), float(ends.high)


def flips(predictions: pd.DataFrame) -> FlipFigures:
    """Return the shares of negative flips (only the base is right) and positive flips (only the model is right).

    Yan et al. 2021, "Positive-congruent training", arXiv 2011.09161 (their negative flip rate). The positive flips
    minus the negative ones are the change in accuracy: a model can be better overall and still break what worked.
    """
    if not len(predictions):
        return FlipFigures(negative_flips=None, positive_flips=None)
    now, before = (predictions[column] == predictions["label"] for column in ("predicted", "base_predicted"))
    return FlipFigures(negative_flips=float((before & ~now).mean()), positive_flips=float((now & ~before).mean()))


def by_class(predictions: pd.DataFrame, classes: list[str]) -> dict[str, ClassFigures]:
    """Return precision, recall, F1 and support of each class in `classes` or among the labels; the base's as `base_…`.

    A class that is never predicted has no precision. A class without images has no recall. A class with neither
    predictions nor images has no F1.
    """
    names = pd.Index(sorted({*classes, *predictions["label"]}))
    *rates, support = _rates(predictions, "predicted", names)
    *base_rates, _ = _rates(predictions, "base_predicted", names)
    rows = zip(names, *rates, support, *base_rates, strict=True)
    return {
        name: ClassFigures(
            precision=precision,
            recall=recall,
            f1=f1,
            support=int(count),
            base_precision=base_precision,
            base_recall=base_recall,
            base_f1=base_f1,
        )
        for name, precision, recall, f1, count, base_precision, base_recall, base_f1 in rows
    }


def _rates(predictions: pd.DataFrame, column: str, names: "pd.Index[str]") -> list[list[Any]]:
    """Return precision, recall, F1 and support of the classes `names`, for the predicted classes in `column`."""
    if column not in predictions or not len(predictions):
        return [[None] * len(names)] * 3 + [[0] * len(names)]
    actual, predicted = (names.get_indexer(pd.Index(predictions[one])) for one in ("label", column))
    found = precision_recall_fscore_support(actual, predicted, labels=np.arange(len(names)), zero_division=np.nan)
    return [[_known(value) for value in values] for values in found]


def on_slices(
    predictions: pd.DataFrame, slices: pd.DataFrame, generation: int
) -> dict[str, SliceFigures | dict[str, SliceFigures]]:
    """Return the accuracy of model and base, and the number of images, for each slice of the images.

    Images are sliced by the generation in which they arrived (`new` is `generation` itself, `old` all earlier ones),
    and by each value of each further column of labels.csv. If a column has more than `MOST` values, the most common
    ones have a slice each, and the others share one slice.
    """
    right = pd.DataFrame({"accuracy": predictions["predicted"] == predictions["label"]})
    if "base_predicted" in predictions:
        right["base_accuracy"] = predictions["base_predicted"] == predictions["label"]
    is_new = slices["generation"] >= generation
    columns = slices.drop(columns=["id", "generation"])
    return {
        "generation": _by(right, slices["generation"]),
        "new": _accuracies(right[is_new]),
        "old": _accuracies(right[~is_new]),
        **{str(name): _by(right, _commonest(values.replace("", BLANK))) for name, values in columns.items()},
    }


def _by(right: pd.DataFrame, values: "pd.Series[Any]") -> dict[str, SliceFigures]:
    return {str(value): _accuracies(group) for value, group in right.groupby(values.to_numpy())}


def _accuracies(right: pd.DataFrame) -> SliceFigures:
    means = {name: _known(values.mean()) for name, values in right.items()}
    return SliceFigures(accuracy=means["accuracy"], support=len(right), base_accuracy=means.get("base_accuracy"))


def _commonest(values: "pd.Series[str]") -> "pd.Series[str]":
    counts = values.value_counts().sort_index(kind="stable").sort_values(ascending=False, kind="stable")
    return values.where(values.isin(counts.index[:MOST]), REST)


def _known(value: float) -> float | None:
    """Return `value`, or None if it is NaN."""
    return None if np.isnan(value) else float(value)
