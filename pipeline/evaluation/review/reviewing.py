"""The review of a generation: which labels to check, and whether what is new looks like what is known.

Test images are judged by the model, which has never seen them. So are new training images by its base. Where there is
none, the labels of the nearest other images judge each of them, by the model's features.
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.evaluation.inference import Looked
from pipeline.evaluation.review.confident import thresholds
from pipeline.evaluation.review.drift import images_differ, pairs_of, shares_differ, standardised
from pipeline.evaluation.review.neighbours import how_far, neighbours
from pipeline.evaluation.review.suspects import Judged, list_suspects
from pipeline.evaluation.review.traits import OF_PIXELS, difference, traits_of_pixels

Floats = npt.NDArray[np.float64]

# Images that may be neighbours: of labels, and where only the distance counts, at most and at least; the first by id.
KNOWN, USUAL, FEWEST = 10_000, 2_000, 50


class Review(NamedTuple):
    """What people should look at."""

    suspects: pd.DataFrame
    """What suspects.csv holds."""
    drift: list[str]
    """How new images differ from the known ones, a sentence each."""


def review(
    lines: pd.DataFrame, test: pd.DataFrame, seen: tuple[Looked, Looked], is_known: npt.NDArray[np.bool_] | None
) -> Review:
    """The review of `lines`, those of review.csv, test images first.

    `test` are the probabilities that the model gives the test images; `seen` is what the base makes of these and of the
    training images among `lines`. `is_known` says which test images came before this generation; it is None where there
    is no base, and `seen` the model's.
    """
    parts = [lines[lines["split"] == split] for split in ("test", "train")]
    by_model = Judged(parts[0], test, _least(parts[0], test), _far(seen[0], seen[0]))
    by_other = by_neighbours(parts[1], seen[1]) if is_known is None else _by_base(parts, seen)
    unseen = lines[~lines["split"].isin(["test", "train"])]
    drift = [] if is_known is None else list(drift_of(parts, is_known, seen))
    return Review(list_suspects([by_model, by_other], unseen), drift)


def drift_of(parts: list[pd.DataFrame], is_known: npt.NDArray[np.bool_], seen: tuple[Looked, Looked]) -> Iterator[str]:
    """How the new training images differ from the test images that are known, in sentences.

    `parts` are the lines of the test images and of the new ones. The base has seen neither, so it would make the
    same of both if nothing had changed.
    """
    known_rows = np.flatnonzero(is_known)
    labels = [lines["label"].to_numpy(dtype=str) for lines in parts]
    known, new = labels[0][is_known], labels[1]
    if shares := shares_differ(Counter(new.tolist()), Counter(known.tolist())):
        yield shares
    pairs = pairs_of(new, known)
    rows = known_rows[pairs.known], pairs.new
    if not pairs.are_enough:
        return
    old, now = (looked.features[some].astype(float) for looked, some in zip(seen, rows, strict=True))
    if images_differ(*standardised(now, old), pairs.classes):
        before, after = (
            traits_of_pixels(next(one.images.batches([some]))) for one, some in zip(seen, rows, strict=True)
        )
        yield difference(after, before, OF_PIXELS, len(new))


def by_neighbours(lines: pd.DataFrame, seen: Looked) -> Judged:
    """The images of `lines`, of which `seen` is what a model makes, judged by those nearest to each.

    A share of neighbours stands for a probability. A model that was trained on an image has learned its label, and
    gives it a high one; its features have not moved as far.
    """
    classes = seen.probabilities.columns
    codes = classes.get_indexer(pd.Index(lines["label"]))
    near = neighbours(seen.features, seen.features[:KNOWN], codes[:KNOWN], len(classes), are_known=True)
    shares = pd.DataFrame(near.shares, columns=classes)
    return Judged(lines, shares, _least(lines, shares), _beyond(near.distance, near.distance))


def _by_base(parts: list[pd.DataFrame], seen: tuple[Looked, Looked]) -> Judged:
    """The new images; what probability is usual follows from the test images, too, since new ones may be few."""
    answers = [looked.probabilities for looked in seen]
    least = _least(pd.concat(parts), pd.concat(answers))
    return Judged(parts[1], answers[1], least, _far(seen[1], seen[0]))


def _least(lines: pd.DataFrame, probabilities: pd.DataFrame) -> Floats:
    return thresholds(probabilities.columns.get_indexer(pd.Index(lines["label"])), probabilities.to_numpy())


def _far(images: Looked, known: Looked) -> Floats:
    """How far each of `images` is from those that are known, which say what is usual."""
    some, no_codes = known.features[:USUAL], np.empty(0, np.intp)
    near = neighbours(images.features, some, no_codes, 0, are_known=images is known)
    usual = near if images is known else neighbours(some, some, no_codes, 0, are_known=True)
    return _beyond(near.distance, usual.distance)


def _beyond(distance: Floats, usual: Floats) -> Floats:
    return how_far(distance, usual) if len(usual) >= FEWEST else np.full(len(distance), np.nan)
