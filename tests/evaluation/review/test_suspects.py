"""The rows of suspects.csv."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.evaluation.review.suspects import COLUMNS, FAR, Judged, list_suspects, read_review

HEADER = ["id", "label", "md5", "split", "source", "like_id", "like_label", "like_source"]


def lines(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    """Return lines of review.csv: id, label, split, and the label of a near-duplicate, if any."""
    made = [
        (one, label, one, split, f"{label}/{one}.png", "z" if like else "", like, f"{like}/z.png" if like else "")
        for one, label, split, like in rows
    ]
    return pd.DataFrame(made, columns=HEADER)


def suspects(*, unseen: pd.DataFrame | None = None, far: float = 0) -> list[dict[str, object]]:
    """Return the rows for four images: one right, one wrong, and two with a near-duplicate."""
    some = lines(
        ("a", "cat", "test", ""), ("b", "cat", "train", ""), ("c", "cat", "train", "dog"), ("d", "emu", "test", "cat")
    )
    shares = pd.DataFrame([[0.9, 0.1], [0.25, 0.75], [0.8, 0.2], [0.6, 0.4]], columns=["cat", "dog"])
    judged = Judged(some, shares, np.array([0.5, 0.7]), np.array([far, np.nan, 0, 0]))
    found = list_suspects([judged], lines() if unseen is None else unseen)
    assert list(found) == COLUMNS
    return found.astype(object).where(found.notna(), None).to_dict("records")  # type: ignore[return-value]


def test_rows() -> None:
    """Near-duplicates come first, then labels that the model contradicts, with its probabilities."""
    twin = {"id": "c", "source": "cat/c.png", "split": "train", "label": "cat", "suggested": "dog", "score": 1}
    assert suspects() == [
        {
            **twin,
            "probability": 0.8,
            "suggested_probability": 0.2,
            "reason": "near-duplicate of dog/z.png labelled dog",
        },
        {
            "id": "d",
            "source": "emu/d.png",
            "split": "test",
            "label": "emu",
            "suggested": "cat",
            "score": 1,
            "probability": None,
            "suggested_probability": 0.6,
            "reason": "near-duplicate of cat/z.png labelled cat",
        },
        {
            "id": "b",
            "source": "cat/b.png",
            "split": "train",
            "label": "cat",
            "suggested": "dog",
            "score": 0.5,
            "probability": 0.25,
            "suggested_probability": 0.75,
            "reason": "label contradicted",
        },
    ]


def test_outliers() -> None:
    """Outliers have no suggested class; the farther they are, the higher their score."""
    (near,), (far,) = ([row for row in suspects(far=FAR * by) if row["id"] == "a"] for by in (1.25, 4))
    assert (near["reason"], near["suggested"], near["score"]) == ("outlier", "", pytest.approx(0.2))
    assert far["score"] == 0.75


def test_what_no_model_was_asked_about() -> None:
    """Near-duplicates that are in no manifest have no probabilities."""
    unseen = lines(("e", "cat", "left out", "dog"))
    (row,) = [row for row in suspects(unseen=unseen) if row["id"] == "e"]
    assert (row["probability"], row["suggested_probability"], row["split"]) == (None, None, "left out")


def test_no_images() -> None:
    """An empty list has its columns."""
    nothing = pd.DataFrame(columns=["cat", "dog"], dtype=float)
    found = list_suspects([Judged(lines(), nothing, np.ones(2), np.empty(0))], lines())
    assert list(found) == COLUMNS
    assert not len(found)


def test_review_of_other_images_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A review.csv that is missing, or of other images, is an error; a valid one starts with the test images."""
    monkeypatch.chdir(tmp_path)
    test = pd.DataFrame({"id": ["b", "d"]})
    with pytest.raises(ImagesError, match="run `dvc repro`"):
        read_review(test)
    paths.MANIFEST.mkdir(parents=True)
    some = lines(
        ("a", "NA", "train", ""), ("b", "None", "test", ""), ("c", "x", "left out", "y"), ("d", "x", "test", "")
    )
    some.to_csv(paths.REVIEW, index=False)
    read = read_review(test)
    assert read["id"].tolist() == ["b", "d", "a", "c"]
    assert read["label"].tolist() == ["None", "x", "NA", "x"]
    with pytest.raises(ImagesError, match="not of the images in test"):
        read_review(test[:1])
