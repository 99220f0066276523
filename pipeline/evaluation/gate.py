"""The gate: whether a model may replace its base. It is accepted unless the test images show that it lost too much.

`evaluate.gate` in params.yaml sets the tolerances. A model is refused if a drop, or the share of negative flips,
exceeds its tolerance at the given confidence, so that noise does not decide. With few images no model is refused.
"""

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.evaluation.paired_tests import Counts, drop_p_value, flips_p_value, smallest_drop
from pipeline.params import Gate
from pipeline.text import counted, percent, shown

# Fallen classes that a verdict names; it counts the others.
NAMED = 3


class Verdict(NamedTuple):
    """The gate's decision about a model."""

    accepted: bool
    verdict: str
    """The reason, in one sentence without a full stop."""


def judge(predictions: pd.DataFrame, gate: Gate) -> Verdict:
    """Compare a model with its base on the same images; `predictions` has the columns of predictions.csv.

    The recall of a class that the base does not know cannot fall. The recall of a class that the model does not know
    falls to 0. A class without test images is not judged.
    """
    if "base_predicted" not in predictions:
        return Verdict(accepted=True, verdict="nothing to compare with: it has no base")
    if not len(predictions):
        return Verdict(accepted=True, verdict="nothing to compare by: there are no test images")
    labels = predictions["label"].to_numpy(dtype=str)
    after, before = (predictions[one].to_numpy(dtype=str) == labels for one in ("predicted", "base_predicted"))
    classes, of_class = np.unique(labels, return_inverse=True)
    rows = (np.ones_like(before), before, before & ~after, after & ~before)
    columns = [np.bincount(of_class, row) for row in rows]
    counts = {name: Counts(*map(int, row)) for name, row in zip(classes, zip(*columns, strict=True), strict=True)}
    total = Counts(*map(int, np.sum(columns, axis=1)))
    reasons = [*_overall(total, gate), *_per_class(counts, gate)]
    if reasons:
        return Verdict(accepted=False, verdict=", ".join(reasons))
    return Verdict(accepted=True, verdict="; ".join(_not_shown(total, counts, gate)))


def fallen_classes(counts: dict[str, Counts], tolerated: float, alpha: float) -> list[str]:
    """Return the classes whose recall fell by more than `tolerated`, the largest drop first.

    It uses Holm's correction (1979, Scandinavian Journal of Statistics 6, 65): the probability that the list contains
    any class whose recall did not is at most `alpha`, for any number of classes.
    """
    p_values = sorted((drop_p_value(count, tolerated), name) for name, count in counts.items())
    fallen = []
    for rank, (p_value, name) in enumerate(p_values):
        if p_value >= alpha / (len(p_values) - rank):
            break
        fallen.append(name)
    return sorted(fallen, key=lambda name: ((counts[name].after - counts[name].before) / counts[name].images, name))


def _overall(total: Counts, gate: Gate) -> Iterator[str]:
    alpha = 1 - gate.confidence
    if gate.drop is not None and drop_p_value(total, gate.drop) < alpha:
        yield f"accuracy {_fell(total)}"
    if gate.flips is not None and flips_p_value(total, gate.flips) < alpha:
        yield f"{percent(total.lost / total.images)} of the test images went from right to wrong"


def _per_class(counts: dict[str, Counts], gate: Gate) -> list[str]:
    if gate.class_drop is None:
        return []
    fallen = fallen_classes(counts, gate.class_drop, 1 - gate.confidence)
    told = [f"recall of '{shown(name)}' {_fell(counts[name])}" for name in fallen[:NAMED]]
    return told + (
        [f"and that of {counted(len(fallen) - NAMED, 'more class', 'more classes')}"] if len(fallen) > NAMED else []
    )


def _fell(count: Counts) -> str:
    return f"fell from {percent(count.before / count.images)} to {percent(count.after / count.images)}"


def _not_shown(total: Counts, counts: dict[str, Counts], gate: Gate) -> Iterator[str]:
    """Yield what an accepted model may still have lost, because the test images are too few to show it."""
    yield "no loss beyond what is tolerated is shown"
    alpha = 1 - gate.confidence
    if gate.drop is not None:
        smallest = smallest_drop(total.images, total.gained, gate.drop, alpha)
        images = counted(total.images, "image")
        yield (
            f"{images} can show drops of {100 * smallest:.1f} points or more"
            if smallest
            else f"{images} can show no drop"
        )
    if gate.class_drop is not None and (small := _small(counts, gate.class_drop, alpha / len(counts))):
        yield f"{small:,} of {len(counts):,} classes have too few to show any"


def _small(counts: dict[str, Counts], tolerated: float, alpha: float) -> int:
    """Return the number of classes for which even losing all images would have no p-value below `alpha`."""
    sizes = sorted(count.images for count in counts.values())
    return bisect_left(sizes, True, key=lambda all_: drop_p_value(Counts(all_, all_, all_, 0), tolerated) < alpha)
