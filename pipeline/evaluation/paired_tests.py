"""Two models that answered the same images: how many either had right, and whether noise can explain a drop.

The images are paired, so only those count that one model had right and the other wrong (McNemar 1947).
"""

from bisect import bisect_left
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binom, binomtest, norm

# Chance that the share of images on which the models differ lies outside the range that is searched, and the p-value
# counts as the worst there is; and how many shares are tried in it.
OUTSIDE, TRIED = 1e-6, 64


class Counts(NamedTuple):
    """Of images that both models answered."""

    images: int
    before: int
    """How many the base had right."""
    lost: int
    """How many of those the model has wrong: the negative flips (Yan et al. 2021, arXiv 2011.09161)."""
    gained: int
    """How many the base had wrong, and the model has right."""

    @property
    def after(self) -> int:
        """How many the model has right."""
        return self.before - self.lost + self.gained


def flips_p_value(counts: Counts, tolerated: float) -> float:
    """How probable so many negative flips are, at least, if their true share is `tolerated` or less.

    The exact binomial test: it is below 0.05 where the one-sided bound of Clopper and Pearson (1934) at 95 % lies
    above `tolerated`.
    """
    return float(binomtest(counts.lost, counts.images, tolerated, alternative="greater").pvalue)


def difference_p_value(counts: Counts) -> float:
    """How probable flips at least so uneven are, if both models are equally good: McNemar's test, exact, two-sided."""
    flips = counts.lost + counts.gained
    return float(binomtest(counts.lost, flips).pvalue) if flips else 1.0


def drop_p_value(counts: Counts, tolerated: float) -> float:
    """How probable such a drop is, at most, if the true share of right answers fell by `tolerated` or less.

    The exact unconditional test of non-inferiority of paired shares: Sidik (2003), Statistics in Medicine 22, 265. Of
    all outcomes those count whose score (Tango 1998, Statistics in Medicine 17, 891) is no lower than the observed
    one. What is not known, the share of images on which the models differ, is the worst of a range that holds it but
    for a chance of one in a million, which is added (Berger and Boos 1994, JASA 89, 1012).
    """
    images, _, lost, gained = counts
    if lost - gained <= images * tolerated:
        return 1.0
    low, high = binomtest(lost + gained, images).proportion_ci(1 - OUTSIDE)
    differ = np.linspace(max(low, tolerated), max(high, tolerated), TRIED)[:, np.newaxis]
    loses, gains = (differ + tolerated) / 2, (differ - tolerated) / 2
    # Numbers of gained images that there is any chance of, and the fewest lost ones that would be as bad with them.
    beside = np.arange(binom.ppf(1e-12, images, gains.min()), binom.isf(1e-12, images, gains.max()) + 1)
    fewest = _fewest_lost(images, beside, tolerated, _score(images, np.array(lost), np.array(gained), tolerated))
    rest = images - beside
    tails = binom.sf(fewest - 1, rest, np.minimum(loses / (1 - gains), 1))  # Rounding may go beyond it.
    return min(1.0, float((binom.pmf(beside, images, gains) * tails).sum(1).max()) + OUTSIDE)


def smallest_drop(images: int, gained: int, tolerated: float, alpha: float) -> float | None:
    """The smallest drop with a p-value below `alpha` with so many gained images, None if there is none."""

    def is_shown(lost: int) -> bool:
        return drop_p_value(Counts(images, images - gained, lost, gained), tolerated) < alpha

    # Where scores are nearly normal that is off by an image at most. A test takes milliseconds, so look there first.
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
    """By how many standard errors the drop exceeds `tolerated`; the error is that of the likeliest shares beneath it.

    Grows with `lost` and falls with `gained`, so the worst of all drops that are tolerated is the largest one.
    """
    excess = lost - gained - images * tolerated
    half = (lost + gained) * (1 - tolerated) - 2 * tolerated * (images - lost)
    likeliest = (half + np.sqrt(half**2 + 8 * images * gained * tolerated * (1 - tolerated))) / (4 * images)
    variance = np.maximum(images * (2 * likeliest + tolerated - tolerated**2), 0)  # Rounding may go below it.
    return np.divide(excess, np.sqrt(variance), out=np.zeros_like(variance), where=variance > 0)


def _fewest_lost(
    images: int, gained: npt.NDArray[np.float64], tolerated: float, score: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The fewest lost images whose score is no lower than `score`, for each of `gained`; images + 1 where none are."""
    low, high = np.full_like(gained, -1), images - gained + 1
    while (high - low > 1).any():
        middle = (low + high) // 2
        reaches = _score(images, middle, gained, tolerated) >= score - 1e-9
        low, high = np.where(reaches, low, middle), np.where(reaches, middle, high)
    return high
