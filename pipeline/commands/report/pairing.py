"""Compare two evaluations on the test images that they have in common."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline import paths
from pipeline.commands.report.versions import Version
from pipeline.evaluation.gate import fallen_classes
from pipeline.evaluation.paired_tests import Counts, difference_p_value

PREDICTIONS = paths.REPORT / "predictions.csv"
# Significance level: the probability to report a change of a class where there is none.
ALPHA = 0.05
COLUMNS = ["id", "label", "predicted", "confidence"]


class ClassChange(NamedTuple):
    """How the results of a class changed, on the images that both evaluations contain."""

    name: str
    images: int
    before: float
    """Recall in A."""
    after: float
    """Recall in B."""
    lost: int
    gained: int
    shown: str
    """`fell` or `rose` if the change is statistically significant, else empty."""

    @property
    def change(self) -> float:
        """Return the change of the recall from A to B."""
        return self.after - self.before


class Comparison(NamedTuple):
    """The comparison of two evaluations, A and B."""

    a: Version
    b: Version
    only_a: int
    """Number of test images that B does not contain."""
    only_b: int
    relabelled: int
    """Number of images whose labels differ; both predictions are compared with the label in B."""
    counts: Counts
    """Right and wrong answers on the common images, with A as the base."""
    p_value: float
    """Probability of flips at least this uneven if both models are equally good."""
    classes: list[ClassChange]
    """All classes, sorted by the size of their change, the largest first."""
    lost: pd.DataFrame
    """Images that A classifies correctly and B does not, sorted by B's confidence, the highest first."""
    gained: pd.DataFrame
    """Images that B classifies correctly and A does not, sorted by A's confidence, the highest first."""

    def as_json(self) -> dict[str, Any]:
        """Return the whole comparison as a JSON-serializable dictionary."""
        return {
            **{side: _described(version) for side, version in (("a", self.a), ("b", self.b))},
            "images": {"both": self.counts.images, "only_a": self.only_a, "only_b": self.only_b}
            | {"relabelled": self.relabelled},
            "right": {"a": self.counts.before, "b": self.counts.after},
            "p_value": self.p_value,
            "classes": [{**row._asdict(), "change": row.change} for row in self.classes],
            "lost": self.lost.to_dict("records"),
            "gained": self.gained.to_dict("records"),
        }


def compare(a: Version, b: Version) -> Comparison:
    """Compare the predictions of `a` and `b` on their common test images.

    Raises:
        MissingDataError: predictions are in neither the cache nor the remote.
        RecordError: predictions are not recorded.
    """
    return pair(a, b, *(_predictions(version) for version in (a, b)))


def pair(a: Version, b: Version, first: pd.DataFrame, second: pd.DataFrame) -> Comparison:
    """Compare the predictions `first` of `a` with the predictions `second` of `b`; both have `COLUMNS`."""
    both = first.merge(second, on="id", suffixes=("_a", "_b"))
    both["right_a"], both["right_b"] = (both[f"predicted_{side}"] == both["label_b"] for side in "ab")
    relabelled = int((both["label_a"] != both["label_b"]).sum())
    counts = _counts(both)
    lost, gained = both[both["right_a"] & ~both["right_b"]], both[~both["right_a"] & both["right_b"]]
    return Comparison(
        a,
        b,
        only_a=len(first) - len(both),
        only_b=len(second) - len(both),
        relabelled=relabelled,
        counts=counts,
        p_value=difference_p_value(counts),
        classes=_classes(both),
        lost=_listed(lost, "confidence_b"),
        gained=_listed(gained, "confidence_a"),
    )


def _predictions(version: Version) -> pd.DataFrame:
    # Parse no string as a missing value: a class may be called "None" or "NA".
    rows = pd.read_csv(version.find(PREDICTIONS), dtype=str, keep_default_na=False, usecols=COLUMNS)
    return rows.astype({"confidence": float})


def _counts(both: pd.DataFrame) -> Counts:
    a, b = both["right_a"].to_numpy(bool), both["right_b"].to_numpy(bool)
    return Counts(len(both), int(a.sum()), int((a & ~b).sum()), int((~a & b).sum()))


def _classes(both: pd.DataFrame) -> list[ClassChange]:
    counts = {str(name): _counts(rows) for name, rows in both.groupby("label_b", sort=True)}
    turned = {name: Counts(one.images, one.after, one.gained, one.lost) for name, one in counts.items()}
    fell, rose = (set(fallen_classes(some, 0.0, ALPHA)) for some in (counts, turned))
    rows = [
        ClassChange(
            name,
            one.images,
            one.before / one.images,
            one.after / one.images,
            one.lost,
            one.gained,
            "fell" if name in fell else "rose" if name in rose else "",
        )
        for name, one in counts.items()
    ]
    return sorted(rows, key=lambda row: (-abs(row.change), row.name))


def _listed(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    columns = {"id": "id", "label_b": "label"}
    columns |= {f"{name}_{side}": f"{name}_{side}" for side in "ab" for name in ("predicted", "confidence")}
    order = np.argsort(-rows[by].to_numpy(), kind="stable")
    return rows.iloc[order][list(columns)].rename(columns=columns).reset_index(drop=True)


def _described(version: Version) -> dict[str, Any]:
    recorded = version.model.recorded
    return {
        "name": version.name,
        "commit": version.commit,
        "model": recorded.model,
        "generation": recorded.generation,
        "metrics": {key: value for key, value in version.metrics.items() if key not in ("classes", "slices")},
    }
