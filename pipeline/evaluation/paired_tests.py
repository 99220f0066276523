"""Statistical tests for two models on the same images: whether noise can explain a drop in accuracy.

The images are paired, so only images count that exactly one of the models classifies correctly (McNemar 1947).
"""

from bisect import bisect_left
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binom, binomtest, norm

# `drop_p_value` searches a range of shares of images on which the models differ. `OUTSIDE` is the probability that the
# true share lies outside the range (it is added to the p-value), `TRIED` the number of shares that are tried.
OUTSIDE, TRIED = 1e-6, 64


class Counts(NamedTuple):
    """Counts of images that both models classified."""

    images: int
    before: int
    """Images that the base classified correctly."""
    lost: int
    """Images that only the base classified correctly: negative flips (Yan et al. 2021, arXiv 2011.09161)."""
    gained: int
    """Images that only the model classified correctly."""

    @property
    def after(self) -> int:
        """The number of images that the model classified correctly."""
        return self.before - self.lost + self.gained


def flips_p_value(counts: Counts, tolerated: float) -> float:
    """Return the p-value of at least this many negative flips, if their true share is at most `tolerated`.

    This is the exact binomial test. The p-value is below 0.05 if the one-sided 95 % bound of Clopper and Pearson (1934)
    is above `tolerated`.
    """
    return float(binomtest(counts.lost, counts.images, tolerated, alternative="greater").pvalue)


def difference_p_value(counts: Counts) -> float:
    """Return the p-value of McNemar's exact two-sided test that both models are equally good."""
    flips = counts.lost + counts.gained
    return float(binomtest(counts.lost, flips).pvalue) if flips else 1.0


def drop_p_value(counts: Counts, tolerated: float) -> float:
    """Return the p-value (an upper bound) of the observed drop, if the true accuracy fell by at most `tolerated`.

    This is the exact unconditional test of non-inferiority of paired proportions: Sidik (2003), Statistics in Medicine
    22, 265. It sums the probability of all outcomes whose score (Tango 1998, Statistics in Medicine 17, 891) is at
    least the observed one. The share of images on which the models differ is unknown, so the test takes the worst case
    in a confidence interval that misses it with a probability of one in a million; that probability is added to the
    p-value (Berger and Boos 1994, JASA 89, 1012).
    """
    images, _, lost, gained = counts
    if lost - gained <= images * tolerated:
        return 1.0
    low, high = binomtest(lost + gained, images).proportion_ci(1 - OUTSIDE)
    differ = np.linspace(max(low, tolerated), max(high, tolerated), TRIED)[:, np.newaxis]
    loses, gains = (differ + tolerated) / 2, (differ - tolerated) / 2
    # All plausible numbers of gained images, and for each the fewest lost images that would score as high.
    beside = np.arange(binom.ppf(1e-12, images, gains.min()), binom.isf(1e-12, images, gains.max()) + 1)
    fewest = _fewest_lost(images, beside, tolerated, _score(images, np.array(lost), np.array(gained), tolerated))
    rest = images - beside
    tails = binom.sf(fewest - 1, rest, np.minimum(loses / (1 - gains), 1))  # Rounding may exceed 1.
    return min(1.0, float((binom.pmf(beside, images, gains) * tails).sum(1).max()) + OUTSIDE)


def smallest_drop(images: int, gained: int, tolerated: float, alpha: float) -> float | None:
    """Return the smallest drop with a p-value below `alpha` if `gained` images are gained, None if there is none."""

    def is_shown(lost: int) -> bool:
        return drop_p_value(Counts(images, images - gained, lost, gained), tolerated) < alpha

    # If the score is nearly normal, `likely` is off by at most one image. A test takes milliseconds, so try it first.
    likely = int(_fewest_lost(images, np.array([float(gained)]), tolerated, norm.isf(alpha))[0])
    most = images - gained
    for low, high in ((likely - 1, likely + 1), (gained, most + 1)):
        if gained <= low and high <= most + 1 and not is_shown(low) and (high > most or is_shown(high)):
            lost = low + 1 + bisect_left(range(low + 1, high), True, key=is_shown)
            return (lost - gained) / images if lost <= most else None
    return None


def _score(
    images: int, lost: npt.NDArray[np.float64], gained: npt.NDArray[np.float64], tolerated: float
) -> npt.NDArray[np.float64]:
    """Return by how many standard errors the drop exceeds `tolerated`.

    The standard error is that of the maximum likelihood estimate under a true drop of `tolerated`. The score grows with
    `lost` and falls with `gained`, so the worst case of all tolerated drops is the largest one.
    """
    excess = lost - gained - images * tolerated
    half = (lost + gained) * (1 - tolerated) - 2 * tolerated * (images - lost)
    likeliest = (half + np.sqrt(half**2 + 8 * images * gained * tolerated * (1 - tolerated))) / (4 * images)
    variance = np.maximum(images * (2 * likeliest + tolerated - tolerated**2), 0)  # Rounding may fall below 0.
    return np.divide(excess, np.sqrt(variance), out=np.zeros_like(variance), where=variance > 0)


def _fewest_lost(
    images: int, gained: npt.NDArray[np.float64], tolerated: float, score: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return, for each of `gained`, the fewest lost images that reach `score`; one more than possible if none do."""
    low, high = np.full_like(gained, -1), images - gained + 1
    while (high - low > 1).any():
        middle = (low + high) // 2
        reaches = _score(images, middle, gained, tolerated) >= score - 1e-9
        low, high = np.where(reaches, low, middle), np.where(reaches, middle, high)
    return high
