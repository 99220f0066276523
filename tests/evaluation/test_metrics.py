"""Metrics equal scikit-learn's or hand-computed ones, and have the expected properties."""

import math
import warnings
from collections.abc import Sequence
from io import StringIO
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from pipeline.evaluation.calibration import calibration_error
from pipeline.evaluation.measurements import side_by_side
from pipeline.evaluation.metrics import (
    BLANK,
    FIGURES,
    MOST,
    OF_CLASS,
    REST,
    by_class,
    figures,
    flips,
    interval,
    on_slices,
    predictions_of,
)

# Each example calls scikit-learn many times.
FEW = settings(max_examples=25)
NAMES = ("ape", "cat", "dog", "emu")


@st.composite
def measured(draw: st.DrawFn) -> tuple["pd.Series[str]", pd.DataFrame, pd.DataFrame]:
    """Draw labels, and the probabilities of a model and a base that each know some of the classes."""
    labels = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=30))
    answers: list[pd.DataFrame] = []
    for _ in range(2):
        known = draw(st.permutations(NAMES).flatmap(lambda names: st.integers(2, 4).map(lambda n: names[:n])))
        weights = st.lists(st.integers(1, 9), min_size=len(known), max_size=len(known))
        rows = np.array(draw(st.lists(weights, min_size=len(labels), max_size=len(labels))), dtype=float)
        answers.append(pd.DataFrame(rows / rows.sum(axis=1, keepdims=True), columns=known))
    model, base = answers
    return pd.Series(labels, dtype=str), model, base


def answers(labels: Sequence[str], predicted: Sequence[str], base: Sequence[str] | None = None) -> pd.DataFrame:
    """Return predictions without confidences."""
    columns = {"label": labels, "predicted": predicted, **({} if base is None else {"base_predicted": base})}
    return pd.DataFrame(columns, dtype=str)


def slices(generations: Sequence[int], **columns: Sequence[str]) -> pd.DataFrame:
    """Return the content of slices.csv."""
    return pd.DataFrame({"id": [str(n) for n in range(len(generations))], "generation": generations, **columns})


@FEW
@given(measured())
def test_figures_are_those_of_scikit_learn(case: tuple["pd.Series[str]", pd.DataFrame, pd.DataFrame]) -> None:
    """Metrics of exported predictions, and log loss of probabilities, equal scikit-learn's for any known classes."""
    labels, model, base = case
    for probabilities in (model, base):
        predicted = predictions_of(labels, probabilities)["predicted"]
        found = figures(labels, probabilities)
        assert found["accuracy"] == pytest.approx(sklearn.accuracy_score(labels, predicted))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # About predicted classes without images.
            assert found["balanced_accuracy"] == pytest.approx(sklearn.balanced_accuracy_score(labels, predicted))
        macro = sklearn.f1_score(labels, predicted, labels=sorted(set(labels)), average="macro", zero_division=0)
        assert found["macro_f1"] == pytest.approx(macro)
        if set(labels) <= set(probabilities.columns):
            names = sorted(probabilities.columns)
            assert found["loss"] == pytest.approx(sklearn.log_loss(labels, probabilities[names], labels=names))
        assert list(found) == list(FIGURES)


@FEW
@given(measured())
def test_classes_are_those_of_scikit_learn(case: tuple["pd.Series[str]", pd.DataFrame, pd.DataFrame]) -> None:
    """Precision, recall, F1 and support of each class equal scikit-learn's; None where it divides by 0."""
    labels, model, base = case
    predictions = side_by_side(pd.DataFrame({"id": labels, "label": labels}), model, base)
    found = by_class(predictions, list(model.columns))
    assert list(found) == sorted({*labels, *model.columns})
    reports = [
        sklearn.classification_report(
            labels, predictions[column], labels=list(found), output_dict=True, zero_division=np.nan
        )
        for column in ("predicted", "base_predicted")
    ]
    for name, values in found.items():
        now, before = (report[name] for report in reports)
        rates = ("precision", "recall", "f1-score")
        expected = [*(now[rate] for rate in (*rates, "support")), *(before[rate] for rate in rates)]
        assert [math.nan if value is None else value for value in values.values()] == pytest.approx(
            expected, nan_ok=True
        )


@FEW
@given(measured())
def test_predictions_alone_give_the_figures(case: tuple["pd.Series[str]", pd.DataFrame, pd.DataFrame]) -> None:
    """From predictions.csv alone, scikit-learn gives the metrics of model and base, including log loss."""
    labels, model, base = case
    text = side_by_side(pd.DataFrame({"id": labels, "label": labels}), model, base).to_csv(index=False)
    exported = pd.read_csv(StringIO(text), dtype={"label": str})
    for prefix, probabilities in (("", model), ("base_", base)):
        found, right = figures(labels, probabilities), exported[f"{prefix}probability"]
        loss = sklearn.log_loss([1] * len(labels), np.column_stack([1 - right, right]), labels=[0, 1])
        assert found["loss"] == pytest.approx(loss, abs=1e-9)
        assert found["accuracy"] == sklearn.accuracy_score(exported["label"], exported[f"{prefix}predicted"])
        answered = exported["label"] == exported[f"{prefix}predicted"]
        error = calibration_error(answered.to_numpy(), exported[f"{prefix}confidence"].to_numpy())
        assert found["calibration_error"] == pytest.approx(error)


@FEW
@given(measured())
def test_bounds(case: tuple["pd.Series[str]", pd.DataFrame, pd.DataFrame]) -> None:
    """Shares are between 0 and 1, the accuracy is in its interval, and flips explain its change."""
    labels, model, base = case
    now, before = figures(labels, model), figures(labels, base)
    for values in (now, before):
        named: dict[str, Any] = dict(values)
        shares = [named[name] for name in FIGURES if name not in ("loss", "support")]
        assert all(share is not None and 0 <= share <= 1 for share in shares)
        low, accuracy, high = (named[f"accuracy{end}"] or 0 for end in ("_low", "", "_high"))
        assert low <= accuracy + 1e-12
        assert accuracy <= high + 1e-12
        assert (values["loss"] or 0) >= 0
    found = flips(side_by_side(pd.DataFrame({"id": labels, "label": labels}), model, base))
    change = (found["positive_flips"] or 0) - (found["negative_flips"] or 0)
    assert change == pytest.approx((now["accuracy"] or 0) - (before["accuracy"] or 0))


@FEW
@given(measured(), st.permutations(NAMES))
def test_names_and_order_do_not_matter(
    case: tuple["pd.Series[str]", pd.DataFrame, pd.DataFrame], others: list[str]
) -> None:
    """The order of images and the names of classes do not matter."""
    labels, model, _ = case
    renamed = dict(zip(NAMES, others, strict=True))
    expected = figures(labels, model)
    other = figures(
        labels.map(renamed)[::-1].reset_index(drop=True), model.rename(columns=renamed)[::-1].reset_index(drop=True)
    )
    assert list(other.values()) == pytest.approx(list(expected.values()))


@pytest.mark.parametrize(
    ("right", "count", "expected"),
    [
        # z = 1.959964: (k + z²/2 ± z √(k (n − k) / n + z²/4)) / (n + z²).
        (0, 1, (0, 0.793451)),
        (1, 1, (0.206549, 1)),
        (8, 10, (0.490162, 0.943318)),
        (0, 0, (None, None)),
        (950, 1000, (0.934686, 0.961870)),
    ],
)
def test_interval_by_hand(right: int, count: int, expected: tuple[float | None, float | None]) -> None:
    """The interval is Wilson's, by its formula; without images there is none."""
    labels = pd.Series(["a"] * right + ["b"] * (count - right), dtype=str)
    found = figures(labels, pd.DataFrame({"a": [0.9] * count, "b": [0.1] * count}))
    assert (found["accuracy_low"], found["accuracy_high"]) == pytest.approx(expected, abs=1e-5)
    if count:
        z = 1.959963984540054
        middle, width = right + z * z / 2, z * math.sqrt(right * (count - right) / count + z * z / 4)
        assert interval(right, count) == pytest.approx([(middle + sign * width) / (count + z * z) for sign in (-1, 1)])


@pytest.mark.parametrize(
    ("labels", "columns", "rows", "expected"),
    [
        (["a", "b"], ["a", "b"], [[1.0, 0.0], [0.0, 1.0]], (1, 1, 0)),
        (["a", "b"], ["b", "a"], [[1.0, 0.0], [0.0, 1.0]], (0, 0, -math.log(2**-52))),
        (["b", "b"], ["a", "b"], [[0.5, 0.5], [0.25, 0.75]], (0.5, 2 / 3, -math.log(0.5 * 0.75) / 2)),
        (["z"], ["a", "b"], [[0.5, 0.5]], (0, 0, -math.log(2**-52))),
        (["a"], ["a"], [[1.0]], (1, 1, 0)),
        (["z"], ["a"], [[1.0]], (0, 0, -math.log(2**-52))),
    ],
    ids=["right", "wrong", "one class", "unknown alone", "one class known", "another class known"],
)
def test_few_classes(
    labels: list[str], columns: list[str], rows: list[list[float]], expected: tuple[float, float, float]
) -> None:
    """Columns are matched by name, not by order; a single class can be evaluated, known or not."""
    found = figures(pd.Series(labels, dtype=str), pd.DataFrame(rows, columns=columns))
    assert (found["accuracy"], found["macro_f1"], found["loss"]) == pytest.approx(expected)


def test_ties_go_to_the_first() -> None:
    """Of equally probable classes the model predicts its first one."""
    probabilities = pd.DataFrame([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4], [0.6, 0.2, 0.2]], columns=["b", "c", "a"])
    found = predictions_of(pd.Series(["a", "b", "z"]), probabilities)
    assert found["predicted"].tolist() == ["b", "c", "b"]
    assert found["confidence"].tolist() == [0.4, 0.4, 0.6]
    assert found["probability"].tolist() == [0.2, 0.2, 0]


def test_flips_by_hand() -> None:
    """Of four images the base had two right; one of these is lost, and another is gained."""
    found = flips(answers(["a", "a", "b", "b"], ["a", "b", "b", "a"], ["a", "a", "a", "c"]))
    assert found == {"negative_flips": 0.25, "positive_flips": 0.25}


def test_classes_that_one_side_does_not_know() -> None:
    """A class never predicted has no precision, without images no recall; one unknown to the base has recall 0."""
    found = by_class(
        answers(["cat", "cat", "fox", "new"], ["cat", "dog", "cat", "new"], ["cat"] * 4), ["cat", "dog", "emu", "new"]
    )
    rows = {name: [value for key, value in row.items() if key != "support"] for name, row in found.items()}
    assert rows == {
        "cat": [0.5, 0.5, 0.5, 0.5, 1, pytest.approx(2 / 3)],
        "dog": [0, None, 0, None, None, None],
        "emu": [None, None, None, None, None, None],
        "fox": [None, 0, 0, None, 0, 0],
        "new": [1, 1, 1, None, 0, 0],
    }
    assert [row["support"] for row in found.values()] == [2, 0, 0, 1, 1]


def test_nothing_to_measure() -> None:
    """Without images there are no metrics, and no error."""
    labels = pd.Series([], dtype=str)
    nothing = predictions_of(labels, pd.DataFrame(columns=["a", "b"], dtype=float))
    assert figures(labels, pd.DataFrame(columns=["a", "b"], dtype=float)) == {**dict.fromkeys(FIGURES), "support": 0}
    predictions = pd.concat([pd.DataFrame({"label": labels}), nothing, nothing.add_prefix("base_")], axis="columns")
    assert set(flips(predictions).values()) == {None}
    empty = {**dict.fromkeys(OF_CLASS), "support": 0}
    assert by_class(predictions, ["b", "a"]) == {"a": empty, "b": empty}
    none = {"accuracy": None, "support": 0, "base_accuracy": None}
    assert on_slices(predictions, slices([], camera=[]), 1) == {
        "generation": {},
        "new": none,
        "old": none,
        "camera": {},
    }


def test_slices_by_hand() -> None:
    """Slices are by generation in numeric order, new against old, and by value, with (none) for missing values."""
    predictions = answers(["a"] * 5, ["a", "a", "b", "b", "a"], ["a", "b", "b", "b", "b"])
    found = on_slices(predictions, slices([1, 10, 2, 10, 2], camera=["x", "", "x", "NA", "x"]), 10)
    assert list(found["generation"]) == ["1", "2", "10"]

    def part(accuracy: float, support: int, base: float) -> dict[str, Any]:
        return {"accuracy": pytest.approx(accuracy), "support": support, "base_accuracy": pytest.approx(base)}

    assert found["generation"] == {"1": part(1, 1, 1), "2": part(0.5, 2, 0), "10": part(0.5, 2, 0)}
    assert (found["new"], found["old"]) == (part(0.5, 2, 0), part(2 / 3, 3, 1 / 3))
    assert found["camera"] == {BLANK: part(1, 1, 0), "NA": part(0, 1, 0), "x": part(2 / 3, 3, 1 / 3)}


def test_rare_values_share_a_slice() -> None:
    """A column with a different value for each image does not give a slice per image."""
    count = MOST + 50
    values = [f"{number:03d}" for number in range(count)] + ["often"] * 3
    predictions = answers(["a"] * len(values), ["a"] * count + ["b"] * 3)
    found: Any = on_slices(predictions, slices([1] * len(values), name=values), 1)["name"]
    assert len(found) == MOST + 1
    assert found["often"] == {"accuracy": 0, "support": 3, "base_accuracy": None}
    assert found[REST] == {"accuracy": 1, "support": count + 1 - MOST, "base_accuracy": None}
    assert {"000", f"{MOST - 2:03d}"} <= found.keys()


@FEW
@given(measured(), st.data())
def test_slices_make_the_whole(case: tuple["pd.Series[str]", pd.DataFrame, pd.DataFrame], data: st.DataObject) -> None:
    """The slices of a column contain each image once, so that their weighted accuracies give the total."""
    labels, model, base = case
    generations = data.draw(st.lists(st.integers(1, 4), min_size=len(labels), max_size=len(labels)))
    places = data.draw(st.lists(st.sampled_from(["", "a", "b"]), min_size=len(labels), max_size=len(labels)))
    found: Any = on_slices(
        side_by_side(pd.DataFrame({"id": labels, "label": labels}), model, base), slices(generations, place=places), 3
    )
    whole = [figures(labels, one)["accuracy"] for one in (model, base)]
    for parts in (found["generation"], found["place"], {name: found[name] for name in ("new", "old")}):
        assert sum(part["support"] for part in parts.values()) == len(labels)
        for name, accuracy in zip(("accuracy", "base_accuracy"), whole, strict=True):
            weighed = sum((part[name] or 0) * part["support"] for part in parts.values())
            assert weighed / len(labels) == pytest.approx(accuracy)
