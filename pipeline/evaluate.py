"""Stage 4: data/manifest/test.csv, data/model and data/base → data/report. Measures the model, and the base beside it.

Run by `dvc repro`, or alone as `python -m pipeline.evaluate`.
"""

import json

import pandas as pd
from sklearn.metrics import accuracy_score, f1_score, log_loss

from pipeline import paths, store
from pipeline.base import reason_for_none
from pipeline.dataset import read_manifest
from pipeline.lineage import RECORDED, Recorded, read_lineage
from pipeline.params import Params
from pipeline.prediction import predict
from pipeline.publish import write_text
from pipeline.stage import main

CONFUSION = paths.REPORT / "confusion.csv"


def evaluate(params: Params) -> str:
    """Measure data/model, and data/base where it holds a model, on the test split; returns the figures."""
    test = read_manifest("test")
    predictions = predict(paths.MODEL, test, params)
    metrics = measure(test["label"], predictions)
    has_base = reason_for_none(paths.BASE) is None
    base = measure(test["label"], predict(paths.BASE, test, params)) if has_base else None
    paths.REPORT.mkdir(parents=True, exist_ok=True)
    lineage = read_lineage(paths.MODEL)
    recorded = Recorded(model=store.directory_hash(paths.MODEL), **lineage.model_dump())
    write_text(RECORDED, recorded.model_dump_json(indent=2) + "\n")
    write_text(paths.METRICS, json.dumps({**metrics, "validation": lineage.validation, "base": base}, indent=2) + "\n")
    confusion = pd.DataFrame({"actual": test["label"], "predicted": predictions.idxmax(axis="columns")})
    write_text(CONFUSION, confusion.to_csv(index=False, lineterminator="\n"))
    if not len(test):
        return "no test images yet, so nothing is measured"
    change = f", the base {base['accuracy']:.1%}" if base else ""
    return (
        f"accuracy {metrics['accuracy']:.1%}{change} on {len(test):,} test images; macro F1 {metrics['macro_f1']:.3f}"
    )


def measure(labels: pd.Series, probabilities: pd.DataFrame) -> dict[str, float | int | None]:
    """Accuracy, macro F1 over the classes among `labels`, mean log loss, and their support.

    A class that the model does not know has a probability of zero, which log loss clips to the smallest number
    (see scikit-learn). Without images there is nothing to measure, and the figures are None.
    """
    if not len(labels):
        return {"accuracy": None, "macro_f1": None, "loss": None, "support": 0}
    predicted = probabilities.idxmax(axis="columns")
    classes = sorted({*labels, *probabilities.columns})
    everything = probabilities.reindex(columns=classes, fill_value=0.0)
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "macro_f1": float(f1_score(labels, predicted, labels=sorted(set(labels)), average="macro", zero_division=0)),
        "loss": float(log_loss(labels, everything, labels=classes)),
        "support": len(labels),
    }


if __name__ == "__main__":
    main("evaluate", evaluate)
