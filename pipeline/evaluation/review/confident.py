"""Labels that probabilities contradict: confident learning.

Northcutt, Jiang and Chuang 2021, "Confident learning: estimating uncertainty in dataset labels", JAIR 70, arXiv
1911.00068. An image counts as one of a class where its probability of it is at least the mean one of the images that
are labelled so; where that is another class than its label, the label is suspect. These are the images off the diagonal
of what they call the confident joint. Probabilities must be of a model that has not seen the image.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]


class Contradictions(NamedTuple):
    """What speaks against the label of each image."""

    suggested: Codes
    """The number of the class that it counts as, −1 where that is none, or its label."""
    margin: Floats
    """By how much the probability of that class is higher than that of the label, 0 where there is no such class."""


def thresholds(codes: Codes, probabilities: Floats) -> Floats:
    """The mean probability of each class among the images of that label; infinite for a class without one.

    `codes` are the numbers of their labels, −1 for one that the model does not know.
    """
    return np.array(
        [
            probabilities[codes == number, number].mean() if (codes == number).any() else np.inf
            for number in range(probabilities.shape[1])
        ]
    )


def contradictions(codes: Codes, probabilities: Floats, least: Floats) -> Contradictions:
    """What `probabilities`, shape (n, classes), say against the labels `codes`; `least` are the thresholds.

    Nothing is said against a label that the model does not know.
    """
    images = np.arange(len(codes))
    above = np.where(probabilities >= least, probabilities, 0)
    best = above.argmax(1) if len(codes) else codes
    margin = probabilities[images, best] - probabilities[images, codes]
    is_suspect = (codes >= 0) & (best != codes) & (above[images, best] > 0) & (margin > 0)
    return Contradictions(np.where(is_suspect, best, -1), np.where(is_suspect, margin, 0.0))
