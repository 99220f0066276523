"""Inputs of the report without the stages before it: random predictions, and metrics computed from them."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.commands.report.versions import Version
from pipeline.evaluation.calibration import reliability
from pipeline.evaluation.gate import judge
from pipeline.evaluation.measurements import Findings, change, measure, side_by_side
from pipeline.evaluation.report import gallery
from pipeline.evaluation.report.context import PageFacts
from pipeline.evaluation.report.page import SUSPECTS
from pipeline.evaluation.report.thumbnails import Thumbnail
from pipeline.evaluation.review.reviewing import Review
from pipeline.evaluation.review.suspects import COLUMNS
from pipeline.lineage.ancestors import Past
from pipeline.lineage.history import RecordedModel
from pipeline.lineage.lineage import Budget, Epochs, ImageCounts, Recorded
from pipeline.lineage.recorded_metrics import Metrics
from pipeline.pages.pictures import SIDE, bounded, data_uri
from pipeline.params import Gate

GATE = Gate(drop=0.01, class_drop=0.1, flips=0.3, confidence=0.95)
# Realistic class names, and names that try to inject code into the page.
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
    generation: int = 3,
    suspects: int = 0,
    drift: list[str] | None = None,
) -> PageFacts:
    """Return facts about test images; the share `wrong` is misclassified, pictures are noise, `side` pixels wide."""
    test, model, before = _answers(list(classes), images, wrong, base=base)
    predictions = side_by_side(test, model, before)
    found = gallery.find(predictions)
    chosen = gallery.choose(found)
    uris = bounded(chosen, (data_uri(noise(row, side)) for row in chosen))
    # Every third picture has no full-size version, as if there were no room for it.
    pictures = {row: Thumbnail(uri, _whole(row, side)) for row, uri in uris.items()}
    recorded = lineage(generation if base else 1, base=base)
    past = [Past(lineage(n, base=n > 1), measured(0.7 + n % 7 / 40)) for n in range(1, recorded.generation)]
    found_out = measure(predictions, _slices(test, columns or {}, recorded), recorded, model, before)
    if base:
        found_out["change"] = change(predictions, found_out, recorded.generation, past)
    verdict = judge(predictions, GATE)
    metrics: Metrics = {**found_out, "accepted": verdict.accepted, "verdict": verdict.verdict, "model": recorded.model}
    right = (predictions["label"] == predictions["predicted"]).to_numpy()
    bins = reliability(right, predictions["confidence"].to_numpy())
    findings = Findings(predictions, metrics, bins, recorded, past, learned(recorded.steps.total))
    return PageFacts(
        findings=findings,
        found=found,
        pictures=pictures,
        review=Review(suspected(classes, suspects), drift or []),
        suspects={row: Thumbnail(data_uri(noise(row, side))) for row in range(min(suspects, SUSPECTS))},
        refused=pd.DataFrame(
            [("a/<b>\r\u202e.jpg", "", "broken", "cut short"), ("z.gif", "", "animation", "")],
            columns=["source", "id", "reason", "detail"],
        ),
        leaks=pd.DataFrame(
            [("1", classes[0], "test", "a.zip!/cat/\u202e1.png", "2", "cat/\u202e2.png")],
            columns=["id", "label", "split", "source", "like", "like_source"],
        ),
        params={"train.lr": 0.004, "train.augment": {"flip": False, "shift": 0.04}},
    )


def learned(steps: int) -> dict[str, list[tuple[int, float]]]:
    """Return curves of `steps` steps."""
    places = range(steps // 10, steps + 1, max(steps // 10, 1))
    return {
        "loss": [(step, 2 / step) for step in places],
        "lr": [(step, 0.01) for step in places],
        "val_accuracy": [(step, 1 - 1 / step) for step in places],
        "val_loss": [],
    }


def suspected(classes: Sequence[str], count: int) -> pd.DataFrame:
    """Return the content of suspects.csv for `count` images of `classes`, with sources named after them."""
    rows = [
        {
            "id": f"{number:032x}",
            "source": f"{classes[number % len(classes)]}/{number}.png",
            "split": ("test", "train", "left out")[number % 3],
            "label": classes[number % len(classes)],
            "suggested": classes[(number + 1) % len(classes)] if number % 3 else "",
            "probability": 0.125 if number % 3 else np.nan,
            "suggested_probability": 0.75 if number % 3 else np.nan,
            "score": 1 - number / 1000,
            "reason": "label contradicted" if number % 3 else f"near-duplicate of {classes[0]} labelled {classes[0]}",
        }
        for number in range(count)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def measured(accuracy: float) -> Metrics:
    """Return the metrics.json of an earlier release, which contained little more than the accuracy."""
    return cast("Metrics", {"accuracy": accuracy})


def _slices(test: pd.DataFrame, columns: dict[str, Sequence[str]], recorded: Recorded) -> pd.DataFrame:
    """Return the content of slices.csv: every fourth image is new, and the values of each of `columns` alternate."""
    places = np.arange(len(test))
    values = {name: np.array(some, dtype=object)[places % len(some)] for name, some in columns.items()}
    generations = np.where(places % 4 == 0, recorded.generation, 1)
    return pd.DataFrame({"id": test["id"], "generation": generations, **values})


def noise(seed: int, side: int) -> Image.Image:
    """Return an image that compresses badly."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def _whole(row: int, side: int) -> str | None:
    """Return the full-size version of a picture `side` pixels wide: twice as wide, None for small pictures."""
    if side < SIDE // 2 or side > SIDE:
        return ""
    return None if row % 3 == 0 else data_uri(noise(row, 2 * side), 2 * side)


def lineage(generation: int, *, base: bool) -> Recorded:
    """Return the record of a model of `generation`."""
    return Recorded(
        generation=generation,
        start="warm" if base else "cold",
        reason="",
        base=f"{generation - 1:032x}.dir" if base else None,
        images=ImageCounts(total=1000 * generation, new=1000, removed=2, relabelled=0),
        epochs=Epochs(run=1.25, total=12 + 1.25 * generation),
        steps=Budget(run=45, total=500 + 45 * generation),
        validation=0.875,
        model=f"{generation:032x}.dir",
    )


def version(name: str, generation: int) -> Version:
    """Return the evaluation of a model of `generation`."""
    model = RecordedModel(lineage(generation, base=generation > 1))
    return Version(name=name, commit=None, model=model, metrics=made(images=50).findings.metrics)


def drawn(classes: list[str], images: int, wrong: float, *, base: bool = True) -> pd.DataFrame:
    """Return the content of predictions.csv for random images."""
    return side_by_side(*_answers(classes, images, wrong, base=base))


def _answers(
    classes: list[str], images: int, wrong: float, *, base: bool
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame | None]:
    """Return test images, and probabilities by a model and a base; a share of the answers is random."""
    rng = np.random.default_rng(0)
    labels = rng.integers(len(classes), size=images)

    def answers() -> pd.DataFrame:
        predicted = np.where(rng.random(images) < wrong, rng.integers(len(classes), size=images), labels)
        confidence = rng.uniform(1 / len(classes), 1, images)[:, None]
        shares = np.repeat((1 - confidence) / (len(classes) - 1), len(classes), axis=1)
        np.put_along_axis(shares, predicted[:, None], confidence, axis=1)
        return pd.DataFrame(shares, columns=classes)

    test = {"id": [f"{number:032x}" for number in range(images)], "label": np.array(classes, dtype=object)[labels]}
    return pd.DataFrame(test), answers(), answers() if base else None
