"""data/report/suspects.csv: images whose label may be wrong and outliers, sorted by falling score."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.evaluation.review.confident import contradictions

Floats = npt.NDArray[np.float64]

COLUMNS = [
    *("id", "source", "split", "label", "suggested", "probability", "suggested_probability", "score", "reason"),
]
CONTRADICTED, OUTLIER = "label contradicted", "outlier"
# An image further than this from its neighbours is an outlier: see `neighbours.how_far`.
FAR = 3.5
# Digits of a probability or score; further digits differ between processors.
DIGITS = 4


class Judged(NamedTuple):
    """Images with class probabilities and distances from a model that was not trained on them, or from neighbours."""

    lines: pd.DataFrame
    """Lines of review.csv."""
    probabilities: pd.DataFrame
    """The probability of each class, one row for each image."""
    least: Floats
    """The lowest probability with which an image counts as a member of each class: see `confident.thresholds`."""
    far: Floats
    """The distance of each image from its neighbours: see `neighbours.how_far`. NaN if there are too few images."""


def read_review(test: pd.DataFrame) -> pd.DataFrame:
    """Read the lines of review.csv as text, those of the images in `test` first.

    Raises:
        ImagesError: the file is missing, or lists other test images.
    """
    lines = pd.read_csv(paths.REVIEW, dtype=str, keep_default_na=False) if paths.REVIEW.exists() else None
    if lines is None or list(lines["id"][lines["split"] == "test"]) != list(test["id"]):
        raise ImagesError(paths.REVIEW, "not of the images in test.csv", "run `dvc repro`, or `dvc checkout`")
    is_test = lines["split"] == "test"
    return pd.concat([lines[is_test], lines[~is_test]], ignore_index=True)


def list_suspects(judged: Sequence[Judged], unseen: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of suspects.csv from images that were `judged`, and from lines `unseen` by any model."""
    classes = judged[0].probabilities.columns
    unknown = pd.DataFrame(np.nan, index=range(len(unseen)), columns=classes)
    others = Judged(unseen, unknown, np.full(len(classes), np.inf), np.full(len(unseen), np.nan))
    parts = [_rows(one) for one in (*judged, others)]
    rows = pd.concat(parts, ignore_index=True)
    return rows.sort_values(["score", "id"], ascending=[False, True], kind="stable", ignore_index=True)


def _rows(judged: Judged) -> pd.DataFrame:
    """Return the rows of the suspects among `judged`."""
    lines, shares = judged.lines.reset_index(drop=True), judged.probabilities.to_numpy()
    codes = judged.probabilities.columns.get_indexer(pd.Index(lines["label"]))
    found = contradictions(codes, shares, judged.least)
    is_contradicted, has_twin = found.suggested >= 0, (lines["like_id"] != "").to_numpy()
    far = np.nan_to_num(judged.far)
    is_outlier = far > FAR
    names = np.array([*judged.probabilities.columns, ""], dtype=object)
    suggested = np.where(is_contradicted, names[found.suggested], lines["like_label"])
    score = np.max([found.margin, 1.0 * has_twin, 1 - FAR / np.maximum(far, FAR)], axis=0)
    rows = lines[["id", "source", "split", "label"]].assign(
        suggested=suggested,
        probability=_shares_of(judged.probabilities, lines["label"]),
        suggested_probability=_shares_of(judged.probabilities, pd.Series(suggested, dtype=object)),
        score=score.round(DIGITS),
        reason="",
    )
    twins = "near-duplicate of " + lines["like_source"] + " labelled " + lines["like_label"]
    for holds, reason in ((has_twin, twins), (is_contradicted, CONTRADICTED), (is_outlier, OUTLIER)):
        before = rows["reason"] + np.where(rows["reason"] != "", "; ", "")
        rows["reason"] = (before + reason).where(holds, rows["reason"])
    return rows[is_contradicted | has_twin | is_outlier]


def _shares_of(probabilities: pd.DataFrame, labels: "pd.Series[str]") -> Floats:
    """Return the probability of each image's class in `labels`, NaN if the model does not know the class."""
    codes = probabilities.columns.get_indexer(pd.Index(labels))
    padded = np.column_stack([probabilities.to_numpy(float), np.full(len(labels), np.nan)])
    shares: Floats = padded[np.arange(len(labels)), codes].round(DIGITS)
    return shares
