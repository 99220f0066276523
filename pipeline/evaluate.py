"""Stage 4: data/manifest/test.csv, data/model and data/base → data/report. Measures the model, and the base beside it.

Run by `dvc repro`, or alone as `python -m pipeline.evaluate`.
"""

import json
from typing import Any

import pandas as pd

from pipeline import paths, store
from pipeline.ancestors import Past, known_ancestors, recorded_metrics
from pipeline.base import reason_for_none
from pipeline.calibration import reliability
from pipeline.dataset import read_manifest
from pipeline.gate import judge
from pipeline.lineage import RECORDED, Lineage, Recorded, read_lineage
from pipeline.metrics import by_class, figures, flips, on_slices, predictions_of
from pipeline.params import Params
from pipeline.prediction import predict
from pipeline.publish import write_text
from pipeline.report import write_report
from pipeline.slices import read_slices
from pipeline.stage import Done, main
from pipeline.transfer import over_generations

CONFUSION = paths.REPORT / "confusion.csv"
RELIABILITY = paths.REPORT / "reliability.csv"
CLASSES = paths.REPORT / "classes.csv"
PREDICTIONS = paths.REPORT / "predictions.csv"
COLUMNS = ["id", "label", "predicted", "confidence", "base_predicted", "base_confidence"]


def evaluate(params: Params) -> Done:
    """Measure data/model, and data/base where it holds a model, on the test split; returns the figures."""
    test = read_manifest("test")
    slices, lineage = read_slices(test), read_lineage(paths.MODEL)
    model = predict(paths.MODEL, test, params)
    base, past = None, list[Past]()
    if reason_for_none(paths.BASE) is None:
        base = predict(paths.BASE, test, params)
        past = known_ancestors(lineage.base, paths.BASE)
    predictions = _side_by_side(test, model, base)
    verdict = judge(test["label"], model, base, params.evaluate.gate)
    metrics = _measure(predictions, slices, lineage, model, base)
    if base is not None:
        metrics["change"] = _change(predictions, metrics, lineage.generation, past)
    metrics |= verdict._asdict()
    facts = {"model": store.directory_hash(paths.MODEL), **lineage.model_dump(), **verdict._asdict()}
    recorded = Recorded.model_validate(facts)
    _write(predictions, metrics, recorded)
    write_report(predictions, metrics, recorded, past, params)
    return Done(_sentence(metrics), len(test) * (1 if base is None else 2))


def _side_by_side(test: pd.DataFrame, model: pd.DataFrame, base: pd.DataFrame | None) -> pd.DataFrame:
    """A row for each test image: what it is, what the model takes it for, and the base, if there is one."""
    columns = [test[["id", "label"]], predictions_of(model)]
    if base is not None:
        columns.append(predictions_of(base).add_prefix("base_"))
    return pd.concat(columns, axis="columns")


def _measure(
    predictions: pd.DataFrame,
    slices: pd.DataFrame,
    lineage: Lineage,
    model: pd.DataFrame,
    base: pd.DataFrame | None,
) -> dict[str, Any]:
    """The content of metrics.json, without what has changed."""
    return {
        **figures(predictions["label"], model),
        "validation": lineage.validation,
        "base": None if base is None else figures(predictions["label"], base),
        "change": None,
        "classes": by_class(predictions, list(model.columns)),
        "slices": on_slices(predictions, slices, lineage.generation),
    }


def _change(
    predictions: pd.DataFrame, metrics: dict[str, Any], generation: int, past: list[Past]
) -> dict[str, float | None]:
    """What `metrics` say against the base's, and against all of the `past`."""
    over = over_generations(metrics, generation, recorded_metrics(past))
    accuracy = metrics["accuracy"] - metrics["base"]["accuracy"] if metrics["support"] else None
    return {"accuracy": accuracy, "forgetting": over.pop("forgetting"), **flips(predictions), **over}


def _write(predictions: pd.DataFrame, metrics: dict[str, Any], recorded: Recorded) -> None:
    paths.REPORT.mkdir(parents=True, exist_ok=True)
    confusion = predictions[["label", "predicted"]].rename(columns={"label": "actual"})
    write_text(RECORDED, recorded.model_dump_json(indent=2) + "\n")
    write_text(paths.METRICS, json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")
    write_text(PREDICTIONS, predictions.reindex(columns=COLUMNS).to_csv(index=False, lineterminator="\n"))
    write_text(CONFUSION, confusion.to_csv(index=False, lineterminator="\n"))
    right = (predictions["label"] == predictions["predicted"]).to_numpy()
    bins = reliability(right, predictions["confidence"].to_numpy(float)).dropna().astype({"count": int})
    write_text(RELIABILITY, bins.to_csv(index=False, lineterminator="\n"))
    classes = pd.DataFrame.from_dict(metrics["classes"], orient="index", columns=["recall", "base_recall"])
    write_text(CLASSES, classes.to_csv(index_label="class", lineterminator="\n"))


def _sentence(metrics: dict[str, Any]) -> str:
    if not metrics["support"]:
        return "no test images yet, so nothing is measured"
    change = f", the base {metrics['base']['accuracy']:.1%}" if metrics["base"] else ""
    measured = f"accuracy {metrics['accuracy']:.1%}{change} on {metrics['support']:,} test images"
    refused = "" if metrics["accepted"] else f"; not accepted: {metrics['verdict']}"
    return f"{measured}; macro F1 {metrics['macro_f1']:.3f}{refused}"


if __name__ == "__main__":
    main("evaluate", evaluate)
