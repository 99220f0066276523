"""Two evaluations side by side, on the test images that both have."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline import paths
from pipeline.commands.report.versions import Version
from pipeline.evaluation.gate import fallen_classes
from pipeline.evaluation.paired_tests import Counts, difference_p_value

PREDICTIONS = paths.REPORT / "predictions.csv"
# Chance that a change is called one though there is none.
ALPHA = 0.05
COLUMNS = ["id", "label", "predicted", "confidence"]


class ClassChange(NamedTuple):
    """What became of a class, on the images that both evaluations have."""

    name: str
    images: int
    before: float
    """Recall in A."""
    after: float
    """And in B."""
    lost: int
    gained: int
    shown: str
    """`fell` or `rose` where chance hardly explains it, else nothing."""

    @property
    def change(self) -> float:
        """Of the recall."""
        return self.after - self.before


class Comparison(NamedTuple):
    """Of two evaluations, A and B."""

    a: Version
    b: Version
    only_a: int
    """Test images that B does not have."""
    only_b: int
    relabelled: int
    """Images with another label in A; both are judged by that of B."""
    counts: Counts
    """On the images of both, with A as the base."""
    p_value: float
    """How probable so uneven flips are if both models are equally good."""
    classes: list[ClassChange]
    """Those that changed most first."""
    lost: pd.DataFrame
    """What A had right and B has wrong, the surest first."""
    gained: pd.DataFrame
    """The other way round, what A was surest of first."""

    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""
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
    """Compare what both predict of the same images.

    Raises:
        MissingDataError: the predictions of one are in neither cache nor remote.
        RecordError: they are not recorded.
    """
    return pair(a, b, *(_predictions(version) for version in (a, b)))


def pair(a: Version, b: Version, first: pd.DataFrame, second: pd.DataFrame) -> Comparison:
    """The same from the predictions of both, with `COLUMNS`."""
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
    # Nothing is a missing value here: a class may well be called "None" or "NA".
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
