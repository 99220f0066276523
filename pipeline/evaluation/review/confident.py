"""Confident learning: labels that predicted probabilities contradict.

Northcutt, Jiang and Chuang 2021, "Confident learning: estimating uncertainty in dataset labels", JAIR 70, arXiv
1911.00068. An image counts as a member of a class if its probability of that class is at least the mean probability
of the images with that label. If this is another class than its label, the label is suspect. These are the images off
the diagonal of what the paper calls the confident joint. The probabilities must come from a model that was not trained
on the image.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]


class Contradictions(NamedTuple):
    """The evidence against the label of each image."""

    suggested: Codes
    """The number of the class that the image counts as, −1 if that is no class or its label."""
    margin: Floats
    """The probability of the suggested class minus that of the label, 0 if no class is suggested."""


def thresholds(codes: Codes, probabilities: Floats) -> Floats:
    """Return the mean probability of each class among the images with that label; infinite for a class without images.

    `codes` has the class numbers of the labels, −1 for a label that the model does not know.
    """
    return np.array(
        [
            probabilities[codes == number, number].mean() if (codes == number).any() else np.inf
            for number in range(probabilities.shape[1])
        ]
    )


def contradictions(codes: Codes, probabilities: Floats, least: Floats) -> Contradictions:
    """Return the contradictions of `probabilities`, shape (n, classes), to the labels `codes`; `least`: the thresholds.

    A label that the model does not know is never contradicted.
    """
    images = np.arange(len(codes))
    above = np.where(probabilities >= least, probabilities, 0)
    best = above.argmax(1) if len(codes) else codes
    margin = probabilities[images, best] - probabilities[images, codes]
    is_suspect = (codes >= 0) & (best != codes) & (above[images, best] > 0) & (margin > 0)
    return Contradictions(np.where(is_suspect, best, -1), np.where(is_suspect, margin, 0.0))
