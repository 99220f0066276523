"""The data of the report, and the variables that its templates get."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from pipeline.evaluation.calibration import BINS
from pipeline.evaluation.measurements import Findings
from pipeline.evaluation.report import charts, gallery, wording
from pipeline.evaluation.report import generations as generations_view
from pipeline.evaluation.report.thumbnails import Thumbnail
from pipeline.evaluation.review.reviewing import Review
from pipeline.lineage.ancestors import Past
from pipeline.lineage.recorded_metrics import Age, ClassFigures, Metrics, SliceFigures, slice_of, table_of
from pipeline.pages.wording import visible

# Most rows of lists of any length.
MOST = 100
# With more classes the confusion matrix is drawn and its largest cells are listed, instead of a table.
TABLE = 24
MOST_PAIRS = 300
# The slices that do not come from a column.
AGES: tuple[Age, Age] = ("new", "old")


@dataclass(frozen=True, kw_only=True)
class PageFacts:
    """All data that the page shows."""

    findings: Findings
    review: Review
    found: gallery.GalleryRows
    """The rows of the predictions by outcome."""
    pictures: dict[int, Thumbnail]
    """Pictures of test images by row of the predictions, the most important first."""
    suspects: dict[int, Thumbnail]
    """Pictures of suspects by row of suspects.csv."""
    refused: pd.DataFrame
    """The content of refused.csv."""
    leaks: pd.DataFrame
    """The content of leaks.csv."""
    params: dict[str, object]
    """Values of params by dotted name."""


def view(facts: PageFacts) -> dict[str, Any]:
    """Return the variables of the templates."""
    predictions, metrics, bins, recorded, past, _ = facts.findings
    names = sorted({*metrics["classes"], *predictions["label"], *predictions["predicted"]})
    numbers = {name: number for number, name in enumerate(names)}
    wrong, _, found = facts.found
    generations = [*past, Past(recorded, metrics)]
    return {
        "metrics": metrics,
        "base": metrics["base"],
        "change": metrics["change"],
        "figures": wording.FIGURES,
        "changes": wording.CHANGES,
        "right": len(predictions) - len(wrong),
        **_mistakes(facts, numbers),
        "suspects": len(facts.suspects),
        "suspects_count": len(facts.review.suspects),
        "drift": facts.review.drift,
        "classes": _classes(metrics["classes"], numbers),
        "slices": _slices(metrics),
        "names": names,
        "as_table": len(names) <= TABLE,
        "totals": _totals(found, names),
        "counts": _counts(found, numbers),
        "pairs": _pairs(found, numbers),
        "data": _data(facts, names, numbers, found),
        "generations": generations[-MOST:],
        "generations_count": len(generations),
        "oldest": generations[0].recorded.generation,
        "history": charts.history([(one.recorded.images.total, one.accuracy) for one in generations[-MOST:]]),
        **generations_view.view(generations[-MOST:], facts.findings),
        "bins": _bins(bins),
        "recorded": recorded,
        "refused": _refused(facts.refused),
        "leaks": facts.leaks.head(MOST).to_dict("records"),
        "leaks_count": len(facts.leaks),
        "params": facts.params,
    }


def _mistakes(facts: PageFacts, numbers: dict[str, int]) -> dict[str, Any]:
    """Return the variables about mistakes: the images, and their number by class."""
    wrong, flips, found = facts.found
    return {
        "wrong": _pictured(wrong, facts.pictures),
        "wrong_count": len(wrong),
        "mistaken": _mistaken(found, numbers, 0),
        "mistaken_for": _mistaken(found, numbers, 1),
        "flips": _pictured(flips[: gallery.LISTED], facts.pictures),
        "flips_count": len(flips),
    }


def _pictured(rows: list[int], pictures: dict[int, Thumbnail]) -> list[int]:
    """Return the positions in `pictures` of those of `rows` that have a picture."""
    places = {row: place for place, row in enumerate(pictures)}
    return [places[row] for row in rows if row in places]


def _mistaken(found: gallery.Cells, numbers: dict[str, int], side: Literal[0, 1]) -> list[tuple[int, int]]:
    """Return the number of mistakes of each class, by actual (`side` 0) or by predicted class (`side` 1)."""
    counts: Counter[int] = Counter()
    for pair, rows in found.items():
        if pair[0] != pair[1]:
            counts[numbers[pair[side]]] += len(rows)
    return sorted(counts.items())


def _classes(figures: dict[str, ClassFigures], numbers: dict[str, int]) -> list[dict[str, Any]]:
    """Return a row for each class, the lowest recall first, classes without images last."""
    rows = [
        {"name": name, "number": numbers[name], **row, "change": _difference(row["recall"], row["base_recall"])}
        for name, row in figures.items()
    ]
    return sorted(rows, key=lambda row: (row["recall"] is None, row["recall"] or 0.0, row["name"]))


def _slices(metrics: Metrics) -> list[dict[str, Any]]:
    """Return the tables of slices: new and old images, generations, and the columns of labels.csv."""
    columns = [name for name in metrics["slices"] if name not in ("generation", *AGES)]
    tables: list[tuple[str, dict[str, SliceFigures]]] = [
        ("New and old images", {name: slice_of(metrics, name) for name in AGES}),
        ("Generation in which they came", table_of(metrics, "generation")),
        *((name, table_of(metrics, name)) for name in columns),
    ]
    return [
        {"title": title, "count": len(rows), "rows": [_slice(value, row) for value, row in _largest(rows)]}
        for title, rows in tables
    ]


def _largest(rows: dict[str, SliceFigures]) -> list[tuple[str, SliceFigures]]:
    """Return the `MOST` largest slices, in their original order."""
    kept = set(sorted(rows, key=lambda value: -rows[value]["support"])[:MOST])
    return [(value, row) for value, row in rows.items() if value in kept]


def _slice(value: str, row: SliceFigures) -> dict[str, Any]:
    return {"value": value, **row, "change": _difference(row["accuracy"], row["base_accuracy"])}


def _difference(new: float | None, old: float | None) -> float | None:
    return None if new is None or old is None else new - old


def _counts(found: gallery.Cells, numbers: dict[str, int]) -> list[list[int]]:
    """Return every non-empty cell: actual class, predicted class, number of images."""
    return [[numbers[actual], numbers[predicted], len(rows)] for (actual, predicted), rows in found.items()]


def _pairs(found: gallery.Cells, numbers: dict[str, int]) -> list[list[int]]:
    """Return the cells with the most mistakes."""
    wrong = [cell for cell in _counts(found, numbers) if cell[0] != cell[1]]
    return sorted(wrong, key=lambda cell: -cell[2])[:MOST_PAIRS]


def _data(facts: PageFacts, names: list[str], numbers: dict[str, int], found: gallery.Cells) -> dict[str, Any]:
    """Return the data of the page's script: names, images with their pictures, and the images of each cell."""
    places = {row: place for place, row in enumerate(facts.pictures)}
    cells = {
        f"{numbers[actual]},{numbers[predicted]}": shown
        for (actual, predicted), rows in found.items()
        if (shown := [places[row] for row in rows if row in places])
    }
    rows = facts.findings.predictions.iloc[list(facts.pictures)].to_dict("records")
    images = [
        [row["id"], numbers[row["label"]], numbers[row["predicted"]], *_answers(row, numbers), *picture]
        for row, picture in zip(rows, facts.pictures.values(), strict=True)
    ]
    suspects = _suspects(facts.review.suspects, facts.suspects)
    return {
        "names": list(map(visible, names)),
        "images": images,
        "cells": cells,
        "counts": _counts(found, numbers),
        "totals": _totals(found, names),
        "suspects": suspects,
    }


def _totals(found: gallery.Cells, names: list[str]) -> list[int]:
    """Return the number of images of each class."""
    return [sum(len(found.get((actual, other), ())) for other in names) for actual in names]


def _suspects(rows: pd.DataFrame, pictures: dict[int, Thumbnail]) -> list[list[str | float | None]]:
    """Return the data of each suspect with a picture: texts, probabilities (None if there is none) and the picture."""
    shown = rows.iloc[list(pictures)].to_dict("records")
    return [
        [
            row["id"],
            *(visible(row[name]) for name in ("source", "split", "label", "suggested", "reason")),
            *(None if pd.isna(row[name]) else row[name] for name in ("probability", "suggested_probability")),
            *picture,
        ]
        for row, picture in zip(shown, pictures.values(), strict=True)
    ]


def _answers(row: Mapping[Any, Any], numbers: dict[str, int]) -> list[str | float | None]:
    """Return the model's confidence, the class that the base predicts, and the base's confidence.

    The base's class is a number, or its name if only the base knows that class.
    """
    if "base_predicted" not in row:
        return [round(row["confidence"], 4), None, None]
    name = row["base_predicted"]
    return [round(row["confidence"], 4), numbers.get(name, visible(name)), round(row["base_confidence"], 4)]


def _bins(bins: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the non-empty bins of the reliability diagram."""
    return [
        {"low": place / BINS, "high": (place + 1) / BINS, "images": int(row["count"]), "accuracy": row["accuracy"]}
        | {"confidence": row["confidence"]}
        for place, row in enumerate(bins.to_dict("records"))
        if row["count"]
    ]


def _refused(refused: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the refused files by reason, the most frequent reason first."""
    reasons = [
        {"reason": reason, "count": len(rows), "files": rows.head(MOST).to_dict("records")}
        for reason, rows in refused.groupby("reason", sort=True)
    ]
    return sorted(reasons, key=lambda row: -row["count"])
