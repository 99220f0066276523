"""Stage 4: data/manifest, data/model and data/base → data/report. Evaluates the model and its base.

`dvc repro` runs it; `pipeline run evaluate` runs it alone.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline import paths
from pipeline.evaluation.calibration import reliability
from pipeline.evaluation.gate import judge
from pipeline.evaluation.inference import Looked, look_at, predict
from pipeline.evaluation.measurements import Findings, change, measure, side_by_side
from pipeline.evaluation.report.page import write_report
from pipeline.evaluation.review.reviewing import review
from pipeline.evaluation.review.suspects import read_review
from pipeline.files import write_text
from pipeline.images.dataset import locate, read_manifest
from pipeline.images.pixel_source import Located
from pipeline.lineage.ancestors import known_ancestors
from pipeline.lineage.base import reason_for_none
from pipeline.lineage.class_changes import ClassChanges
from pipeline.lineage.lineage import EDITED, RECORDED, Lineage, Recorded, read_lineage, read_recorded
from pipeline.lineage.recorded_metrics import Metrics, in_files
from pipeline.params import Params
from pipeline.result import Result
from pipeline.splits.slices import read_slices
from pipeline.text import counted, csv_text, percent
from pipeline.training.curves import read_curves
from pipeline.versioning import hashing

CONFUSION = paths.REPORT / "confusion.csv"
RELIABILITY = paths.REPORT / "reliability.csv"
CLASSES = paths.REPORT / "classes.csv"
PREDICTIONS = paths.REPORT / "predictions.csv"
SUSPECTS = paths.REPORT / "suspects.csv"
BY_CODE_OF_NOW = "the base was evaluated with the current code, not with the code that it was trained with"
ANSWER = ["predicted", "confidence", "probability"]
COLUMNS = ["id", "label", *ANSWER, *(f"base_{column}" for column in ANSWER)]


def evaluate(params: Params) -> Result:
    """Evaluate data/model, and data/base if it contains a model, on the test split, and write data/report."""
    test = read_manifest("test")
    slices, lineage = read_slices(test), read_lineage(paths.MODEL)
    lines = read_review(test)
    found = locate(lines, params.compute)
    seen, model, base = _look(found, lines, params)
    past = [] if base is None else known_ancestors(lineage.base, paths.BASE)
    predictions, oid = side_by_side(test, model, base), hashing.directory_hash(paths.MODEL) or ""
    verdict = judge(predictions, params.evaluate.gate)
    measured = measure(predictions, slices, lineage, model, base)
    if base is not None:
        measured["change"] = change(predictions, measured, lineage.generation, past)
    metrics: Metrics = {**measured, "accepted": verdict.accepted, "verdict": verdict.verdict, "model": oid}
    facts = {"model": oid, **lineage.model_dump(), "others": _others(lineage), **verdict._asdict()}
    right = (predictions["label"] == predictions["predicted"]).to_numpy()
    bins = reliability(right, predictions["confidence"].to_numpy(float))
    is_known = None if base is None else (slices["generation"] < lineage.generation).to_numpy()
    reviewed = review(lines, model, seen, is_known)
    findings = Findings(
        predictions, metrics, bins, Recorded.model_validate(facts), past, read_curves(paths.MODEL).points
    )
    _write(findings)
    _write_csv(SUSPECTS, reviewed.suspects)
    write_report(findings, reviewed, dict(zip(lines["id"], found.slots, strict=True)), params, found.elsewhere)
    looks = sum(len(one.images) for one in seen) + (0 if base is None else len(test))
    notes = [BY_CODE_OF_NOW] if EDITED in lineage.reason else []
    return Result("; ".join([_sentence(metrics, reviewed.drift), *notes]), looks)


def _look(
    found: Located, lines: pd.DataFrame, params: Params
) -> tuple[tuple[Looked, Looked], pd.DataFrame, pd.DataFrame | None]:
    """Run the model and, if there is one, the base.

    `found` has the places of the images of `lines`, test images first.

    Returns:
        the base's outputs for the test images and for the training images to review (the model's, if there is no base);
        the model's probabilities for the test images; and the base's, None if there is no base.
    """
    splits = lines["split"].to_numpy()
    parts = [found._replace(slots=found.slots.take(np.flatnonzero(splits == split))) for split in ("test", "train")]
    if reason_for_none(paths.BASE) is not None:
        test, new = look_at(paths.MODEL, parts, params)
        return (test, new), test.probabilities, None
    model, classes = predict(paths.MODEL, parts[0], params), ClassChanges.read()
    test, new = (
        one._replace(probabilities=classes.merge_columns(one.probabilities))
        for one in look_at(paths.BASE, parts, params, edited=True)
    )
    return (test, new), model, test.probabilities


def _others(lineage: Lineage) -> tuple[str, ...]:
    """Return the models of merged branches that no training has recorded yet, from the last report.

    Git's merge driver notes them there.

    Raises:
        RecordError: the last report cannot be read.
    """
    before = read_recorded()
    return tuple(model for model in before.others if model not in lineage.merged) if before else ()


def _write(findings: Findings) -> None:
    predictions, metrics, bins, recorded, *_ = findings
    paths.REPORT.mkdir(parents=True, exist_ok=True)
    confusion = predictions[["label", "predicted"]].rename(columns={"label": "actual"})
    write_text(RECORDED, recorded.model_dump_json(indent=2) + "\n")
    for path, figures in in_files(metrics).items():
        write_text(path, json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    _write_csv(PREDICTIONS, predictions.reindex(columns=COLUMNS))
    _write_csv(CONFUSION, confusion)
    _write_csv(RELIABILITY, bins.dropna().astype({"count": int}))
    classes = pd.DataFrame.from_dict(metrics["classes"], orient="index", columns=["recall", "base_recall"], dtype=float)
    classes["change"] = classes["recall"] - classes["base_recall"]
    _write_csv(CLASSES, classes.rename_axis("class").reset_index())


def _write_csv(path: Path, rows: pd.DataFrame) -> None:
    # Arrow formats numbers ten times faster than Python, and also with the fewest digits that distinguish them.
    columns = (pa.array(rows[name], from_pandas=True).cast(pa.string()).to_pylist() for name in rows)
    write_text(path, csv_text([list(rows), *zip(*columns, strict=True)]))


def _sentence(metrics: Metrics, drift: list[str]) -> str:
    accuracy, base = metrics["accuracy"], metrics["base"]
    if accuracy is None:
        return "no test images yet, so nothing is measured"
    before = base["accuracy"] if base else None
    change = "" if before is None else f" (base {percent(before)})"
    measured = f"test accuracy {percent(accuracy)}{change} on {counted(metrics['support'], 'image')}"
    refused = "" if metrics["accepted"] else f"; not accepted: {metrics['verdict']}"
    return "; ".join([f"{measured}; macro F1 {metrics['macro_f1']:.3f}{refused}", *drift])
