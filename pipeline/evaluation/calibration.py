"""Calibration: whether a model's accuracy matches its confidence."""

import numpy as np
import numpy.typing as npt
import pandas as pd

BINS = 15


def reliability(right: npt.NDArray[np.bool_], confidence: npt.NDArray[np.float64]) -> pd.DataFrame:
    """Return the accuracy by confidence: columns count, confidence and accuracy, one row for each bin.

    The 15 bins have equal width, ((m − 1) / 15, m / 15]. Bins without images have no confidence and no accuracy.
    """
    bins = np.digitize(confidence, np.linspace(0, 1, BINS + 1)[1:-1], right=True)
    images = pd.DataFrame({"bin": bins, "confidence": confidence, "accuracy": right.astype(float)})
    grouped = images.groupby("bin")
    return grouped.mean().assign(count=grouped.size()).reindex(range(BINS)).fillna({"count": 0})


def calibration_error(right: npt.NDArray[np.bool_], confidence: npt.NDArray[np.float64]) -> float:
    """Return the expected calibration error: the mean over images of their bin's gap between confidence and accuracy.

    Σ |B_m| / n · |accuracy(B_m) − confidence(B_m)| over the bins of `reliability`; Guo et al. 2017, "On calibration of
    modern neural networks", arXiv 1706.04599, with their 15 bins. torchmetrics has this metric, too, but does not
    return the bins, which the report draws, and takes seconds to import. It also puts a confidence on the edge of two
    bins into the upper one.
    """
    bins = reliability(right, confidence)
    return float((bins["count"] * (bins["accuracy"] - bins["confidence"]).abs()).sum() / len(right))
