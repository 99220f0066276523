"""What the report is made of, without the stages before: predictions that were drawn, and figures of just these."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.metrics import precision_recall_fscore_support

from pipeline import gallery
from pipeline.ancestors import Past
from pipeline.lineage import Budget, ImageCounts, Recorded
from pipeline.thumbnails import bounded, data_uri
from pipeline.view import Facts

# Class names that people do use, and some that attack the page.
ODD = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(2)</script>",
    "{{ 7 * 7 }}",
    "🦊 fox",
    "קטגוריה",
    "\u202egnp.exe",
    "\u200b",
    "\u3164",
    "long " * 50,
    "a,b;c\\d'e&amp;",
    "constructor",
]


def made(  # noqa: PLR0913 (tests vary each of them)
    *,
    classes: Sequence[str] = ("cat", "dog"),
    images: int = 100,
    wrong: float = 0.2,
    base: bool = True,
    side: int = 28,
    columns: dict[str, Sequence[str]] | None = None,
) -> Facts:
    """Facts on so many test images of which a share is `wrong`; their pictures are noise, `side` pixels wide."""
    predictions = drawn(list(classes), images, wrong, base=base)
    chosen = gallery.choose(predictions)
    pictures = bounded(chosen, (data_uri(noise(row, side)) for row in chosen))
    recorded = lineage(3 if base else 1, base=base)
    return Facts(
        metrics=_metrics(predictions, columns or {}, base=base),
        predictions=predictions,
        pictures=pictures,
        recorded=recorded,
        past=[Past(lineage(n, base=n > 1), {"accuracy": 0.7 + n / 20}) for n in (1, 2)] if base else [],
        refused=pd.DataFrame(
            [("a/<b>.jpg", "", "broken", "cut short"), ("z.gif", "", "animation", "")],
            columns=["source", "id", "reason", "detail"],
        ),
        leaks=pd.DataFrame(
            [("1", classes[0], "test", "a.zip!/cat/1.png", "2", "cat/2.png")],
            columns=["id", "label", "split", "source", "like", "like_source"],
        ),
        params={"train.lr": 0.004, "train.augment": {"flip": False, "shift": 0.04}},
    )


def noise(seed: int, side: int) -> Image.Image:
    """An image of which no compression makes much less."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def lineage(generation: int, *, base: bool) -> Recorded:
    """That of the model of a generation."""
    return Recorded(
        generation=generation,
        start="warm" if base else "cold",
        reason="",
        base=f"{generation - 1:032x}.dir" if base else None,
        images=ImageCounts(total=1000 * generation, new=1000, removed=2, relabelled=0),
        epochs=Budget(run=1, total=12 + generation),
        steps=Budget(run=45, total=500 + 45 * generation),
        validation=0.875,
        model=f"{generation:032x}.dir",
    )


def drawn(classes: list[str], images: int, wrong: float, *, base: bool = True) -> pd.DataFrame:
    """What predictions.csv would hold of so many images."""
    rng = np.random.default_rng(0)
    labels = rng.choice(classes, images)

    def answers() -> "np.ndarray[Any, Any]":
        return np.where(rng.random(images) < wrong, rng.choice(classes, images), labels)

    columns = {
        "id": [f"{number:032x}" for number in range(images)],
        "label": labels.astype(object),
        "predicted": answers().astype(object),
        "confidence": rng.uniform(1 / len(classes), 1, images),
    }
    if base:
        columns |= {"base_predicted": answers().astype(object), "base_confidence": rng.uniform(0.3, 1, images)}
    return pd.DataFrame(columns)


def _metrics(predictions: pd.DataFrame, columns: dict[str, Sequence[str]], *, base: bool) -> dict[str, Any]:
    """metrics.json of these predictions; a few figures that the page only prints are made up."""
    images = len(predictions)
    right = predictions["predicted"] == predictions["label"]
    base_right = _base_right(predictions)
    accuracy, base_accuracy = (float(answers.mean()) if images else None for answers in (right, base_right))
    figures = {"balanced_accuracy": accuracy, "macro_f1": accuracy, "loss": 0.5 if images else None}
    figures |= {"calibration_error": 0.03 if images else None}
    interval = {
        "accuracy_low": None if accuracy is None else max(0.0, accuracy - 0.04),
        "accuracy_high": None if accuracy is None else min(1.0, accuracy + 0.04),
    }
    slices: dict[str, Any] = {"generation": {}}
    parts = {name: _slice(predictions[rows], base=base) for name, rows in _halves(images).items()}
    slices |= parts
    if images:
        slices["generation"] = {"1": parts["old"], "2": parts["new"]}
        for name, values in columns.items():
            slices[name] = {value: _slice(predictions[k :: len(values)], base=base) for k, value in enumerate(values)}
    return {
        "accuracy": accuracy,
        **interval,
        **figures,
        "support": images,
        "validation": 0.875,
        "base": {"accuracy": base_accuracy, **figures, **interval, "support": images} if base else None,
        "change": {
            "accuracy": None if accuracy is None else accuracy - (base_accuracy or 0.0),
            "forgetting": 0.012 if images else None,
            "negative_flips": float((base_right & ~right).mean()) if images else None,
            "positive_flips": float((right & ~base_right).mean()) if images else None,
            "backward_transfer": -0.012 if images else None,
            "forward_transfer": None,
        }
        if base
        else None,
        "classes": _classes(predictions, base=base),
        "slices": slices,
        "accepted": bool(images and accuracy and accuracy > 0.5),
        "verdict": "" if images else "nothing to compare by: there are no test images",
    }


def _halves(images: int) -> dict[str, "np.ndarray[Any, Any]"]:
    new = np.arange(images) % 4 == 0
    return {"new": new, "old": ~new}


def _slice(predictions: pd.DataFrame, *, base: bool) -> dict[str, float | int | None]:
    known = len(predictions) > 0
    right = (predictions["predicted"] == predictions["label"]).mean()
    base_right = _base_right(predictions).mean()
    return {
        "accuracy": float(right) if known else None,
        "support": len(predictions),
        "base_accuracy": float(base_right) if known and base else None,
    }


def _base_right(predictions: pd.DataFrame) -> "pd.Series[bool]":
    if "base_predicted" not in predictions:
        return pd.Series(False, index=predictions.index)
    return predictions["base_predicted"] == predictions["label"]


def _classes(predictions: pd.DataFrame, *, base: bool) -> dict[str, dict[str, float | int | None]]:
    names = sorted(set(predictions["label"]))
    if not names:
        return {}
    precision, recall, f1, support = precision_recall_fscore_support(
        predictions["label"], predictions["predicted"], labels=names, zero_division=0
    )
    right = _base_right(predictions).groupby(predictions["label"]).mean()
    return {
        name: {
            "precision": float(precision[place]),
            "recall": float(recall[place]),
            "f1": float(f1[place]),
            "support": int(support[place]),
            "base_recall": float(right[name]) if base else None,
        }
        for place, name in enumerate(names)
    }
