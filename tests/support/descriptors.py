"""Synthetic descriptors of images."""

import numpy as np

from pipeline.ingestion.perceptual_hash import STEPS
from pipeline.splits.duplicates.points import Rows


def made_up(random: np.random.Generator, count: int, clumps: int, noise: float) -> Rows:
    """Return `count` descriptors in `clumps` clusters, of all contrasts."""
    falling = np.arange(1, 63) ** -random.uniform(0, 1)
    terms = random.normal(size=(clumps, 62)) * falling
    contrast = np.exp(random.uniform(-1, 4.8, clumps))
    terms *= (contrast / np.linalg.norm(terms, axis=1))[:, None]
    which = random.integers(0, clumps, count)
    terms = terms[which] + noise * contrast[which, None] * random.normal(size=(count, 62)) / 62**0.5
    octave = np.ceil(np.log2(np.maximum(np.linalg.norm(terms, axis=1), 1) / 1.42))
    rows = np.empty((count, 64), np.int8)
    rows[:, 0], rows[:, 1] = octave, random.integers(-128, 128, clumps)[which] + random.integers(0, 3, count) - 1
    rows[:, 2:] = np.round(terms * (STEPS / 2**octave)[:, None]).clip(-127, 127)
    return rows
