"""Ranks images by how much they are worth labelling: the model is unsure of them, and they differ from each other.

BADGE (Ash et al., arXiv 1906.03671) uses the gradient of the last layer for an image, with the model's own prediction
as its label. The gradient is long where the model is unsure, and nearly the same for images that look alike to the
network. Images are drawn as k-means++ draws its centres, with a probability proportional to the squared distance to the
nearest image drawn before. So, of several near-identical images, one makes the others unlikely.
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]


def rank(features: Array, probabilities: Array, count: int, seed: int) -> list[int]:
    """Return the rows of the `count` images that are most worth labelling, the most uncertain one first.

    `features` has the shape (n, features), `probabilities` (n, classes). The same values and `seed` give the same rows.
    There are fewer rows if all other images have the same gradients as those.
    """
    gradients = _Gradients(features, probabilities)
    chance, left, chosen = np.random.default_rng(seed), gradients.lengths.copy(), list[int]()
    while len(chosen) < count and left.sum() > 0:
        row = int(chance.choice(len(left), p=left / left.sum()) if chosen else left.argmax())
        chosen.append(row)
        left = np.minimum(left, gradients.distances(row))
        left[row] = 0
    return chosen


class _Gradients:
    """The gradients of the last layer's weights: one outer product per image, which is never computed in full."""

    def __init__(self, features: Array, probabilities: Array) -> None:
        self._features = features.astype(np.float64)
        self._residuals = probabilities - np.eye(probabilities.shape[1])[probabilities.argmax(1)]
        self.lengths = (self._residuals**2).sum(1) * (self._features**2).sum(1)
        """Squared lengths, shape (n,)."""

    def distances(self, row: int) -> npt.NDArray[np.float64]:
        """Return the squared distance of each gradient to that of the image `row`, shape (n,)."""
        products = (self._residuals @ self._residuals[row]) * (self._features @ self._features[row])
        distances: npt.NDArray[np.float64] = np.maximum(self.lengths + self.lengths[row] - 2 * products, 0)
        return distances
