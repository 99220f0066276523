"""The report's list of generations, from which readers choose one, and the learning curves of all of them."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pipeline.evaluation.measurements import Findings
from pipeline.evaluation.report import charts
from pipeline.lineage.ancestors import Past
from pipeline.lineage.recorded_metrics import ClassFigures, Metrics

# Most rows of all tables of classes together; the tables of older generations are left out.
MOST_ROWS = 3000
# The charts: title, format of the values, and the label of each training curve.
CHARTS = (
    ("Accuracy on the validation images", "percent", {"val_accuracy": "accuracy"}),
    ("Log loss", "number", {"loss": "in training", "val_loss": "on the validation images"}),
    ("Learning rate", "number", {"lr": "learning rate"}),
)
# Metrics that an older release did not record, or that a generation without metrics lacks.
UNKNOWN = dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high", "support", "macro_f1", "change"))


def view(generations: Sequence[Past], findings: Findings) -> dict[str, Any]:
    """Return the variables about `generations`, oldest first; the last one is that of `findings`."""
    steps = generations[-1].recorded.steps.total
    drawn = (
        charts.curves(title, kind, {said: findings.curves.get(name, ()) for name, said in names.items()}, steps)
        for title, kind, names in CHARTS
    )
    return {
        "chosen": _listed(generations, findings.metrics),
        "curves": [chart for chart in drawn if chart],
        "spans": _spans(generations, steps),
        "learned": _learned(generations, findings.curves),
    }


def _listed(generations: Sequence[Past], now: Metrics) -> list[dict[str, Any]]:
    """Return the generations, newest first, with the metrics of their classes up to `MOST_ROWS` rows."""
    room, listed = MOST_ROWS, []
    for past in reversed(generations):
        figures = UNKNOWN | cast("dict[str, Any]", past.metrics or {})
        classes: dict[str, ClassFigures] = figures.get("classes") or {}
        room -= len(classes)
        rows = _classes(classes, now) if room >= 0 else []
        listed.append({"recorded": past.recorded, "metrics": figures, "classes": rows, "count": len(classes)})
    return listed


def _classes(then: Mapping[str, ClassFigures], now: Metrics) -> list[dict[str, Any]]:
    """Return a row for each class, sorted by name: its metrics in that generation, and its recall now."""
    rows = []
    for name, figures in sorted(then.items()):
        recall = now["classes"][name]["recall"] if name in now["classes"] else None
        before = figures["recall"]
        since = None if recall is None or before is None else recall - before
        rows.append({"name": name, **figures, "now": recall, "since": since})
    return rows


def _spans(generations: Sequence[Past], steps: int) -> list[dict[str, float]]:
    """Return the start and the end of each generation, as shares of all `steps`."""
    return [
        {
            "generation": recorded.generation,
            "start": max(recorded.steps.total - recorded.steps.run, 0) / steps,
            "end": recorded.steps.total / steps,
        }
        for recorded in (past.recorded for past in generations)
        if steps
    ]


def _learned(generations: Sequence[Past], curves: Mapping[str, charts.Points]) -> list[dict[str, Any]]:
    """Return the values of the curves at the end of each generation, newest first."""
    return [
        {"generation": past.recorded.generation, "steps": past.recorded.steps.total}
        | {name: _at(curves.get(name, ()), past.recorded.steps.total) for name in ("val_accuracy", "val_loss", "loss")}
        for past in reversed(generations)
    ]


def _at(points: charts.Points, step: int) -> float | None:
    """Return the last value up to and including `step`; None if there is none."""
    place = bisect_right(points, step, key=lambda point: point[0])
    return points[place - 1][1] if place else None
