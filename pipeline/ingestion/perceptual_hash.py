"""A perceptual hash: a few numbers that describe an image and hardly change when it is re-encoded or scaled.

The grey image is projected onto its lowest cosine terms, with exact integrals over the pixels, so that an image of
any size, even 1 × 1, has the same terms as a scaled copy of itself. The terms, rounded coarsely, form the *key*, which
is equal for most copies and decides the split. Rounded finely, they form the *descriptor*, which finds near-duplicates.
docs/benchmarks.md compares the key with other perceptual hashes.
"""

from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 8
# The 62 lowest of the 63 terms other than the mean, lowest first.
_TERMS = sorted(
    ((row, column) for row in range(SIDE) for column in range(SIDE) if row + column),
    key=lambda term: (term[0] ** 2 + term[1] ** 2, term),
)[:62]
_POSITIONS = np.array([row * SIDE + column for row, column in _TERMS])
# The number of terms in the key, and its quantisation step as a share of the image's contrast.
KEY_TERMS, KEY_STEP = 12, 0.1
# The quantisation step of a descriptor's terms is 2 ** (its first byte) / 89: then the largest term just fits a byte.
STEPS = 89


class PerceptualHash(NamedTuple):
    """The perceptual hash of an image."""

    key: str
    """16 hexadecimal digits."""
    descriptor: bytes
    """64 signed bytes: the contrast's octave, the mean grey − 128, then the terms."""


def perceptual_hash(image: Image.Image) -> PerceptualHash:
    """Return the perceptual hash of `image`, of mode L or RGB."""
    mean, terms = _cosine_terms(image.convert("L"))
    low = float(np.sqrt(terms[:24] @ terms[:24]))
    octave = round(np.log2(max(low, 2.0)))
    # Flat images have no distinctive terms, so their mean is part of the key.
    shade = int(mean + 8) >> 4 if octave <= 1 else 0
    steps = np.round(terms[:KEY_TERMS] / (KEY_STEP * 2.0**octave))
    key = np.append(steps, (octave, shade)).astype(np.int8)
    contrast = float(np.sqrt(terms @ terms))
    fine = int(np.ceil(np.log2(max(contrast, 1.0) / 1.42)))
    descriptor = np.empty(64, np.int8)
    descriptor[:2] = fine, int(mean + 0.5) - 128
    descriptor[2:] = np.round(terms * (STEPS / 2.0**fine)).clip(-127, 127)
    return PerceptualHash(blake2b(key.tobytes(), digest_size=8).hexdigest(), descriptor.tobytes())


def _cosine_terms(grey: Image.Image) -> tuple[float, npt.NDArray[np.float32]]:
    """Return the mean and the 62 lowest terms, shape (62,), in grey levels."""
    width, height = grey.size
    across, down = max(1, width // 64), max(1, height // 64)
    if across > 1 or down > 1:
        grey = grey.reduce((across, down))
    pixels = np.asarray(grey, dtype=np.float32)
    terms = (_basis(height, down) @ pixels @ _basis(width, across).T).ravel()
    return float(terms[0]), terms[_POSITIONS]


@lru_cache(1024)
def _basis(length: int, step: int) -> npt.NDArray[np.float32]:
    """Return the integrals of the lowest cosines over each run of `step` pixels of `length`: shape (8, runs)."""
    edges = np.minimum(np.arange(0, length + step, step), length) / length
    order = np.arange(1, SIDE)[:, None]
    constant = np.diff(edges)[None]
    cosines = np.sqrt(2) * np.diff(np.sin(np.pi * order * edges) / (np.pi * order), axis=1)
    return np.concatenate([constant, cosines]).astype(np.float32)
