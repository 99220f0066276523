"""Whether a model is right as often as it is sure."""

import numpy as np
import numpy.typing as npt
import pandas as pd

BINS = 15


def reliability(right: npt.NDArray[np.bool_], confidence: npt.NDArray[np.float64]) -> pd.DataFrame:
    """How often a model is right when it is how sure: columns count, confidence and accuracy, a row for each bin.

    There are 15 bins of equal width, ((m − 1) / 15, m / 15]; those without images have no confidence and no accuracy.
    """
    bins = np.digitize(confidence, np.linspace(0, 1, BINS + 1)[1:-1], right=True)
    images = pd.DataFrame({"bin": bins, "confidence": confidence, "accuracy": right.astype(float)})
    grouped = images.groupby("bin")
    return grouped.mean().assign(count=grouped.size()).reindex(range(BINS)).fillna({"count": 0})


def calibration_error(right: npt.NDArray[np.bool_], confidence: npt.NDArray[np.float64]) -> float:
    """Expected calibration error: the mean over the images of how far confidence and accuracy of their bin are apart.

    Σ |B_m| / n · |accuracy(B_m) − confidence(B_m)| over the bins of `reliability`; Guo et al. 2017, "On calibration of
    modern neural networks", arXiv 1706.04599, with the 15 bins of theirs. torchmetrics has it, too, but not the bins,
    which are drawn as well, and takes seconds to import; a confidence on a bin's edge is in the upper one there.
    """
    bins = reliability(right, confidence)
    return float((bins["count"] * (bins["accuracy"] - bins["confidence"]).abs()).sum() / len(right))
